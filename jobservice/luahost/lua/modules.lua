-- require: other scripts of the store, once per run.
local bridge, env = ...
local error, rawequal, type, xpcall = error, rawequal, type, xpcall
local traceback = debug.traceback
local concat, find, gsub, sub = table.concat, string.find, string.gsub, string.sub

local LIBRARIES = { string = true, table = true, math = true, coroutine = true, bit = true, os = true }

-- `chain` names what is being loaded, outermost first.
local loaded, chain = {}, {}
local modules = {}

-- Names the script that the run begins with.
function modules.begin(path)
  chain[1] = path
end

-- Keeps where an error in a module came from: the frames are gone by the time
-- require has tidied up and raises it again.
local function on_error(problem)
  local known = modules.failure
  if not (known and rawequal(known.problem, problem)) then
    modules.failure = { problem = problem, traceback = traceback("", 2) }
  end
  return problem
end

local function path_of(name)
  if sub(name, -4) == ".lua" then
    return name
  end
  return gsub(name, "%.", "/") .. ".lua"
end

local function check_circle(path)
  for index = 1, #chain do
    if chain[index] == path then
      error("require goes in a circle: " .. concat(chain, " -> ", index) .. " -> " .. path, 3)
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
  chain[depth] = path
  local fine, value = xpcall(function()
    return (chunk(name))
  end, on_error)
  chain[depth] = nil
  if not fine then
    error(value, 0)
  end
  if value == nil then
    value = true
  end
  loaded[path] = { value = value }
  return value
end

return modules
