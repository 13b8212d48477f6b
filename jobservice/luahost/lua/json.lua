-- JSON in both directions, with raw access only: no metamethod of a script
-- takes part.
local null, array_mark = ...
local error, getmetatable, next, pcall, rawget, setmetatable, tonumber, type =
  error, getmetatable, next, pcall, rawget, setmetatable, tonumber, type
local byte, char, find, format, gsub, match, sub =
  string.byte, string.char, string.find, string.format, string.gsub, string.match, string.sub
local concat, floor, huge = table.concat, math.floor, math.huge

local MAX_DEPTH = 64

-- Problems travel as this table, so that a memory error is not taken for one.
local function fail(text, ...)
  error({ problem = format(text, ...) }, 0)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f" }

local function escape(text)
  return ESCAPES[text] or format("\\u%04x", byte(text))
end

local function encode_text(text)
  return '"' .. gsub(text, '[%z\1-\31"\\\127]', escape) .. '"'
end

local function encode_number(number)
  if number ~= number or number == huge or number == -huge then
    fail("JSON has no NaN and no infinity")
  end
  if number == floor(number) and number > -1e15 and number < 1e15 then
    return format("%d", number)
  end
  local short = format("%.15g", number)
  return tonumber(short) == number and short or format("%.17g", number)
end

-- Length of a table whose keys are exactly 1..n, else nil.
local function array_length(value)
  local length, count = 0, 0
  for key in next, value do
    if type(key) ~= "number" or key < 1 or key ~= floor(key) then
      return nil
    end
    count = count + 1
    length = key > length and key or length
  end
  if count ~= length then
    return nil
  end
  if count == 0 and getmetatable(value) ~= array_mark then
    return nil
  end
  return length
end

local encode_value

local function encode_array(value, length, out, depth)
  out[#out + 1] = "["
  for index = 1, length do
    if index > 1 then
      out[#out + 1] = ","
    end
    encode_value(rawget(value, index), out, depth)
  end
  out[#out + 1] = "]"
end

local function encode_object(value, out, depth)
  local separator = "{"
  for key, item in next, value do
    local kind = type(key)
    if kind == "number" then
      key = format("%.14g", key)
    elseif kind ~= "string" then
      fail("a %s cannot be a key in JSON", kind)
    end
    out[#out + 1] = separator .. encode_text(key) .. ":"
    separator = ","
    encode_value(item, out, depth)
  end
  out[#out + 1] = separator == "{" and "{}" or "}"
end

function encode_value(value, out, depth)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = encode_text(value)
  elseif kind == "number" then
    out[#out + 1] = encode_number(value)
  elseif kind == "boolean" then
    out[#out + 1] = value and "true" or "false"
  elseif value == nil or value == null then
    out[#out + 1] = "null"
  elseif kind == "table" then
    if depth >= MAX_DEPTH then
      fail("tables are nested more than %d deep, or contain themselves", MAX_DEPTH)
    end
    local length = array_length(value)
    if length then
      encode_array(value, length, out, depth + 1)
    else
      encode_object(value, out, depth + 1)
    end
  else
    fail("a %s has no form in JSON", kind)
  end
end

local UNESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function utf8_bytes(point)
  if point < 0x80 then
    return char(point)
  elseif point < 0x800 then
    return char(0xC0 + floor(point / 64), 0x80 + point % 64)
  elseif point < 0x10000 then
    return char(0xE0 + floor(point / 4096), 0x80 + floor(point / 64) % 64, 0x80 + point % 64)
  end
  return char(0xF0 + floor(point / 262144), 0x80 + floor(point / 4096) % 64, 0x80 + floor(point / 64) % 64, 0x80 + point % 64)
end

local function unexpected(text, position)
  if position > #text then
    fail("the JSON text ends too early, at position %d", position)
  end
  fail("unexpected character '%s' at position %d", gsub(sub(text, position, position), "[%c\128-\255]", "?"), position)
end

local function decode_unicode(text, position)
  local digits = match(text, "^%x%x%x%x", position)
  if not digits then
    fail("a \\u escape needs four hexadecimal digits at position %d", position)
  end
  local point = tonumber(digits, 16)
  if point >= 0xD800 and point < 0xDC00 then
    local low = match(text, "^\\u([dD][c-fC-F]%x%x)", position + 4)
    if low then
      return utf8_bytes(0x10000 + (point - 0xD800) * 1024 + tonumber(low, 16) - 0xDC00), position + 10
    end
  end
  if point >= 0xD800 and point < 0xE000 then
    return "\239\191\189", position + 4
  end
  return utf8_bytes(point), position + 4
end

local function decode_text(text, position)
  local parts, start = {}, position + 1
  while true do
    local stop = find(text, '["\\%z\1-\31]', start)
    if not stop then
      fail("a text is not closed; it begins at position %d", position)
    end
    parts[#parts + 1] = sub(text, start, stop - 1)
    local found = sub(text, stop, stop)
    if found == '"' then
      return concat(parts), stop + 1
    elseif found ~= "\\" then
      fail("a control character in a text at position %d", stop)
    end
    local escaped = sub(text, stop + 1, stop + 1)
    if escaped == "u" then
      parts[#parts + 1], start = decode_unicode(text, stop + 2)
    else
      parts[#parts + 1], start = UNESCAPES[escaped] or unexpected(text, stop + 1), stop + 2
    end
  end
end

local function decode_number(text, position)
  local digits = match(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", position)
  local plain = digits and match(digits, "^-?%d+$") or digits and match(digits, "^-?%d+%.%d+$")
  local scientific = digits and (match(digits, "^-?%d+[eE][+-]?%d+$") or match(digits, "^-?%d+%.%d+[eE][+-]?%d+$"))
  if not (plain or scientific) or match(digits, "^-?0%d") then
    unexpected(text, position)
  end
  return tonumber(digits), position + #digits
end

local decode_value

local function after_space(text, position)
  return find(text, "[^ \t\r\n]", position) or #text + 1
end

local function decode_array(text, position, depth)
  local result, count = setmetatable({}, array_mark), 0
  position = after_space(text, position + 1)
  if byte(text, position) == 93 then
    return result, position + 1
  end
  while true do
    count = count + 1
    result[count], position = decode_value(text, position, depth)
    position = after_space(text, position)
    local found = byte(text, position)
    if found == 93 then
      return result, position + 1
    elseif found ~= 44 then
      unexpected(text, position)
    end
    position = after_space(text, position + 1)
  end
end

local function decode_object(text, position, depth)
  local result = {}
  position = after_space(text, position + 1)
  if byte(text, position) == 125 then
    return result, position + 1
  end
  while true do
    if byte(text, position) ~= 34 then
      unexpected(text, position)
    end
    local key
    key, position = decode_text(text, position)
    position = after_space(text, position)
    if byte(text, position) ~= 58 then
      unexpected(text, position)
    end
    result[key], position = decode_value(text, after_space(text, position + 1), depth)
    position = after_space(text, position)
    local found = byte(text, position)
    if found == 125 then
      return result, position + 1
    elseif found ~= 44 then
      unexpected(text, position)
    end
    position = after_space(text, position + 1)
  end
end

function decode_value(text, position, depth)
  local first = byte(text, position)
  if first == 34 then
    return decode_text(text, position)
  elseif first == 123 or first == 91 then
    if depth >= MAX_DEPTH then
      fail("the JSON text is nested more than %d deep", MAX_DEPTH)
    end
    return (first == 123 and decode_object or decode_array)(text, position, depth + 1)
  elseif sub(text, position, position + 3) == "true" then
    return true, position + 4
  elseif sub(text, position, position + 4) == "false" then
    return false, position + 5
  elseif sub(text, position, position + 3) == "null" then
    return null, position + 4
  end
  return decode_number(text, position)
end

-- Runs one direction; true and the result, or false and the problem in words.
local function attempt(work, ...)
  local fine, result = pcall(work, ...)
  if fine then
    return true, result
  elseif type(result) == "table" and rawget(result, "problem") then
    return false, rawget(result, "problem")
  end
  error(result, 0)
end

local json = {}

function json.encode(value)
  return attempt(function()
    local out = {}
    encode_value(value, out, 0)
    return concat(out)
  end)
end

function json.decode(text)
  if type(text) ~= "string" then
    return false, "a string was expected, got " .. type(text)
  end
  return attempt(function()
    local value, position = decode_value(text, after_space(text, 1), 0)
    position = after_space(text, position)
    if position <= #text then
      unexpected(text, position)
    end
    return value
  end)
end

return json
