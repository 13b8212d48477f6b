-- The core.* functions that a script calls.
local bridge, display, job, load_json, globals = ...
local error, getmetatable, pcall, select, setmetatable, tostring, type =
  error, getmetatable, pcall, select, setmetatable, tostring, type
local concat, find, format, gsub, match, sub =
  table.concat, string.find, string.format, string.gsub, string.match, string.sub

local LINE_MAX_BYTES = 65536
local CUT = " ... (cut: a line has at most 64 KiB)"
local OUTSIDE = " is not configured: this release does not connect jobs to anything outside"
local NEVER = " is not available in jobs"
local REASONS = {
  mysql = OUTSIDE, email = OUTSIDE, network = OUTSIDE, data = OUTSIDE, mongo = OUTSIDE, timer = OUTSIDE,
  template = OUTSIDE, files = OUTSIDE, sql = OUTSIDE, secret = OUTSIDE, run = OUTSIDE, notify = OUTSIDE,
  users = NEVER, pages = NEVER, api = NEVER, callApi = NEVER, error = NEVER, geoip = NEVER, countryCode = NEVER,
}

local core = {}

local function write(text)
  if #text > LINE_MAX_BYTES then
    text = sub(text, 1, LINE_MAX_BYTES - #CUT) .. CUT
  end
  bridge.try("log", text)
end

local function joined(separator, show, ...)
  local parts = {}
  for index = 1, select("#", ...) do
    local value = select(index, ...)
    parts[index] = show(value)
  end
  return concat(parts, separator)
end

local function write_all(separator, show, ...)
  local fine, text = pcall(joined, separator, show, ...)
  write(fine and text or "<a message that cannot be shown>")
end

function core.log(...)
  write_all(" ", display, ...)
end

function globals.print(...)
  write_all("\t", function(value)
    local fine, text = pcall(tostring, value)
    return fine and type(text) == "string" and text or "<" .. type(value) .. " that cannot be shown>"
  end, ...)
end

local function text_argument(value, position, name)
  if type(value) == "number" then
    return format("%.14g", value)
  elseif type(value) ~= "string" then
    error("bad argument #" .. position .. " to '" .. name .. "' (string expected, got " .. type(value) .. ")", 3)
  end
  return value
end

core.job = job.new

function core.sf(template, ...)
  local fine, text = pcall(format, text_argument(template, 1, "core.sf"), ...)
  if not fine then
    error((gsub(tostring(text), "to '[^']*'", "to 'core.sf'")), 2)
  end
  return text
end

function core.trim(text)
  return (match(text_argument(text, 1, "core.trim"), "^%s*(.-)%s*$"))
end

function core.split(text, delimiter)
  text = text_argument(text, 1, "core.split")
  delimiter = delimiter == nil and "," or text_argument(delimiter, 2, "core.split")
  if delimiter == "" then
    error("bad argument #2 to 'core.split' (the delimiter is empty)", 2)
  end
  local parts, count, start = {}, 0, 1
  while true do
    local first, last = find(text, delimiter, start, true)
    count = count + 1
    parts[count] = sub(text, start, (first or 0) - 1)
    if not first then
      return parts
    end
    start = last + 1
  end
end

function core.uuid()
  return (bridge.call("uuid"))
end

function core.md5(text)
  return (bridge.call("md5", text_argument(text, 1, "core.md5")))
end

function core.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error("bad argument #1 to 'core.sleep' (a number of seconds, zero or more, expected)", 2)
  end
  bridge.call("sleep", seconds)
end

core.NULL = setmetatable({}, {
  __tostring = function()
    return "null"
  end,
  __newindex = function()
    error("core.NULL cannot be changed", 2)
  end,
  __metatable = false,
})

local array_mark = {}

function core.array(items)
  if items ~= nil and type(items) ~= "table" then
    error("bad argument #1 to 'core.array' (table expected, got " .. type(items) .. ")", 2)
  elseif items and getmetatable(items) ~= nil then
    return items
  end
  return setmetatable(items or {}, array_mark)
end

core.json, core.json_safe = {}, {}
local json

local function converter(direction, code)
  core.json[direction] = function(value)
    json = json or load_json(core.NULL, array_mark)
    local fine, result = json[direction](value)
    if not fine then
      error("core.json." .. direction .. ": " .. result, 2)
    end
    return result
  end
  core.json_safe[direction] = function(value)
    json = json or load_json(core.NULL, array_mark)
    local fine, result = json[direction](value)
    if fine then
      return result
    end
    return nil, result, code
  end
end

converter("encode", 831)
converter("decode", 830)

-- A module that is absent: a table, so that `if core.mysql then` works, whose
-- every use says why.  Made when a script first asks for it.
local function absent(full_name, reason)
  local function refuse()
    error(full_name .. reason, 2)
  end
  return setmetatable({}, {
    __index = refuse,
    __newindex = refuse,
    __call = refuse,
    __tostring = function()
      return full_name
    end,
    __metatable = false,
  })
end

setmetatable(core, {
  __index = function(_, name)
    local reason = REASONS[name]
    if not reason then
      return nil
    end
    local stub = absent("core." .. name, reason)
    core[name] = stub
    return stub
  end,
  __metatable = false,
})

globals.core = core
return { core = core, write = write }
