-- require: other scripts of the store, once per run.
local bridge, env = ...
local error, type = error, type
local getinfo = debug.getinfo
local concat, find, gsub, sub = table.concat, string.find, string.gsub, string.sub

local LIBRARIES = { string = true, table = true, math = true, coroutine = true, bit = true, os = true }

-- `chain` holds what is being loaded, outermost first, as { path, chunk }.
local loaded, chain = {}, {}
local modules = {}

-- Names the script that the run begins with, and its main function.
function modules.begin(path, chunk)
  chain[1] = { path = path, chunk = chunk }
end

local function path_of(name)
  if sub(name, -4) == ".lua" then
    return name
  end
  return gsub(name, "%.", "/") .. ".lua"
end

local function is_running(chunk)
  local level = 2
  while true do
    local frame = getinfo(level, "f")
    if not frame then
      return false
    elseif frame.func == chunk then
      return true
    end
    level = level + 1
  end
end

-- A module whose loading failed inside a pcall is still in the chain, but no
-- longer on the stack: only a running one is a circle.
local function check_circle(path)
  for index = 1, #chain do
    if chain[index].path == path then
      if is_running(chain[index].chunk) then
        local names = {}
        for step = index, #chain do
          names[#names + 1] = chain[step].path
        end
        error("require goes in a circle: " .. concat(names, " -> ") .. " -> " .. path, 3)
      end
      for stale = #chain, index, -1 do
        chain[stale] = nil
      end
      return
    end
  end
end

local function fetch(name, path)
  if not find(path, "^[%w_%-%./]+$") then
    error("module '" .. name .. "' cannot be required: a path has only letters, digits, _, -, . and /", 3)
  end
  local found, source = bridge.try("call", "require", '["' .. path .. '"]')
  if not found then
    error("module '" .. name .. "' was not loaded: " .. source, 3)
  elseif source == nil then
    error("module '" .. name .. "' was not found: there is no script " .. path, 3)
  end
  return source
end

function env.globals.require(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  if LIBRARIES[name] and env.globals[name] then
    return env.globals[name]
  end
  local path = path_of(name)
  local known = loaded[path]
  if known then
    return known.value
  end
  check_circle(path)
  local chunk, problem = env.compile(fetch(name, path), "@" .. path)
  if not chunk then
    error(problem, 0)
  end
  local depth = #chain + 1
  chain[depth] = { path = path, chunk = chunk }
  local value = chunk(name)
  chain[depth] = nil
  if value == nil then
    value = true
  end
  loaded[path] = { value = value }
  return value
end

return modules
