-- Builds the globals that a script sees: an allow-list of copies, so that
-- nothing a script changes reaches the runtime's own functions.
local G = _G
local error, next, rawget, rawset, select, type = error, next, rawget, rawset, select, type
local byte, concat, gmatch = string.byte, table.concat, string.gmatch
local getinfo, metatable_of = debug.getinfo, debug.getmetatable
local setmetatable, getmetatable, loadstring, setfenv = setmetatable, getmetatable, loadstring, setfenv
local used_kilobytes, unpack = collectgarbage, unpack

local env = {}

local function copy(library)
  local result = {}
  for name, value in next, library do
    result[name] = value
  end
  return result
end

for name in gmatch("assert error ipairs next pairs pcall rawequal rawget rawset select tonumber tostring type unpack xpcall _VERSION", "%S+") do
  env[name] = G[name]
end
env._G = env
env.string, env.table, env.math, env.coroutine = copy(string), copy(table), copy(math), copy(coroutine)
env.bit = G.bit and copy(G.bit) or nil
env.string.dump = nil
env.table.unpack = unpack
env.table.pack = function(...)
  return { n = select("#", ...), ... }
end

local strings = getmetatable("")
strings.__index = env.string
strings.__metatable = false

function env.getmetatable(value)
  if type(value) == "table" then
    return getmetatable(value)
  end
  return nil
end

function env.setmetatable(value, metatable)
  if type(value) ~= "table" then
    error("bad argument #1 to 'setmetatable' (table expected, got " .. type(value) .. ")", 2)
  end
  if metatable ~= nil and type(metatable) ~= "table" then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  if metatable and rawget(metatable, "__gc") ~= nil then
    error("__gc is not available in jobs", 2)
  end
  local current = metatable_of(value)
  if current and rawget(current, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(value, metatable)
end

function env.collectgarbage(option)
  if option == "count" then
    return (used_kilobytes("count"))
  end
  return 0
end

-- Compiles text; bytecode is refused, since LuaJIT runs it unverified.
local function compile(source, name, globals)
  if byte(source, 1) == 27 then
    return nil, "this is compiled Lua, not text: only source code can be loaded"
  end
  local chunk, problem = loadstring(source, name)
  if chunk then
    setfenv(chunk, globals or env)
  end
  return chunk, problem
end

local function read_all(reader)
  local parts, count = {}, 0
  while true do
    local part = reader()
    if part == nil or part == "" then
      return concat(parts)
    end
    if type(part) ~= "string" then
      error("reader function must return a string", 3)
    end
    count = count + 1
    parts[count] = part
  end
end

function env.load(chunk, name, _, globals)
  if type(chunk) == "function" then
    chunk = read_all(chunk)
  elseif type(chunk) ~= "string" then
    error("bad argument #1 to 'load' (string or function expected, got " .. type(chunk) .. ")", 2)
  end
  return compile(chunk, type(name) == "string" and name or "=(load)", type(globals) == "table" and globals or env)
end

function env.loadstring(source, name)
  if type(source) ~= "string" then
    error("bad argument #1 to 'loadstring' (string expected, got " .. type(source) .. ")", 2)
  end
  return compile(source, type(name) == "string" and name or "=(load)")
end

-- From here on a global that is set is still allowed, and lost with the state:
-- `warn` hears of each name once.
local function guard(warn)
  local told = {}
  setmetatable(env, {
    __metatable = false,
    __newindex = function(globals, name, value)
      rawset(globals, name, value)
      if type(name) == "string" and not told[name] then
        told[name] = true
        local where = getinfo(2, "Sl")
        local known = where and where.currentline > 0
        local place = known and where.short_src .. ":" .. where.currentline or "an unknown line"
        warn("warning: global '" .. name .. "' is set at " .. place .. "; it is gone after this run")
      end
    end,
  })
end

return { globals = env, compile = compile, guard = guard }
