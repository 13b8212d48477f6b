-- Shows any value as text for a person: cycle-safe, bounded, never raises.
local next, pcall, rawget, tostring, type = next, pcall, rawget, tostring, type
local metatable_of = debug.getmetatable
local concat, sort = table.concat, table.sort
local byte, find, format, gsub, rep, sub = string.byte, string.find, string.format, string.gsub, string.rep, string.sub

local MAX_DEPTH, MAX_ITEMS, MAX_TEXT_BYTES, WIDTH = 8, 1000, 65536, 80

local function own_text(value)
  local fine, text = pcall(tostring, value)
  if fine and type(text) == "string" then
    return text
  end
  return "<" .. type(value) .. " that cannot be shown>"
end

local function has_tostring(value)
  local metatable = metatable_of(value)
  return type(metatable) == "table" and rawget(metatable, "__tostring") ~= nil
end

local function quoted(text)
  local escaped = gsub(text, '[%z\1-\31"\\\127]', function(char)
    if char == "\n" then
      return "\\n"
    elseif char == '"' or char == "\\" then
      return "\\" .. char
    end
    return format("\\%03d", byte(char))
  end)
  return '"' .. escaped .. '"'
end

local function key_text(key)
  if type(key) == "string" then
    return find(key, "^[%a_][%w_]*$") and key or "[" .. quoted(key) .. "]"
  end
  return "[" .. own_text(key) .. "]"
end

local ORDER = { number = 1, string = 2 }

local function comes_before(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a == kind_b and ORDER[kind_a] then
    return a < b
  end
  return (ORDER[kind_a] or 3) < (ORDER[kind_b] or 3)
end

local show

local function items_of(value, state, depth)
  local items, count, positions = {}, 0, 0
  while rawget(value, positions + 1) ~= nil and positions < MAX_ITEMS do
    positions = positions + 1
    items[positions] = show(rawget(value, positions), state, depth + 1)
  end
  local keys, left_out = {}, 0
  for key in next, value do
    if not (type(key) == "number" and key >= 1 and key <= positions and key % 1 == 0) then
      if #keys + positions < MAX_ITEMS then
        keys[#keys + 1] = key
      else
        left_out = left_out + 1
      end
    end
  end
  sort(keys, comes_before)
  count = positions
  for index = 1, #keys do
    count = count + 1
    items[count] = key_text(keys[index]) .. " = " .. show(rawget(value, keys[index]), state, depth + 1)
  end
  if left_out > 0 then
    items[count + 1] = "... " .. left_out .. " more"
  end
  return items
end

local function show_table(value, state, depth)
  if state.open[value] then
    return "<cycle>"
  elseif depth > MAX_DEPTH then
    return "{...}"
  end
  state.open[value] = true
  local items = items_of(value, state, depth)
  state.open[value] = nil
  local line = "{" .. concat(items, ", ") .. "}"
  if #line <= WIDTH and not find(line, "\n", 1, true) then
    return line
  end
  local indent = rep("  ", depth + 1)
  return "{\n" .. indent .. concat(items, ",\n" .. indent) .. "\n" .. rep("  ", depth) .. "}"
end

function show(value, state, depth)
  if state.budget <= 0 then
    return "..."
  end
  local text
  if type(value) == "table" and not has_tostring(value) then
    state.budget = state.budget - 2
    return show_table(value, state, depth)
  elseif type(value) == "string" and depth > 0 then
    text = quoted(sub(value, 1, MAX_TEXT_BYTES))
  else
    text = own_text(value)
  end
  state.budget = state.budget - #text
  return text
end

return function(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind ~= "table" then
    return own_text(value)
  end
  local fine, text = pcall(show, value, { open = {}, budget = MAX_TEXT_BYTES }, 0)
  if not fine then
    return "<table that cannot be shown>"
  end
  return text
end
