-- Runs once in each fresh state: builds the sandbox, takes the real globals
-- away and returns the functions the host calls.
local parts, host, json_bytecode = ...
local G = _G
local collectgarbage, loadstring, setfenv = collectgarbage, loadstring, setfenv
local rawequal, rawget, select, sub, traceback, type, xpcall =
  rawequal, rawget, select, string.sub, debug.traceback, type, xpcall
local getinfo, randomseed = debug.getinfo, math.randomseed

local MESSAGE_MAX_BYTES, TRACEBACK_MAX_BYTES = 4096, 16384

-- JSON is large and rarely used: loaded at its first use, with the runtime's
-- own libraries as its globals.
local natives = {
  debug = debug, math = math, string = string, table = table,
  error = error, getmetatable = getmetatable, next = next, pcall = pcall, rawget = rawget,
  setmetatable = setmetatable, tonumber = tonumber, type = type,
}

local function load_json(...)
  return setfenv(loadstring(json_bytecode, "=moontide"), natives)(...)
end

-- Collecting while the state is being built only costs time.
collectgarbage("stop")
local bridge = parts.bridge(host)
local env = parts.env()
local display = parts.display()
local present = parts.present(bridge)
local job = parts.job(present, display)
local modules = parts.modules(bridge, env)
env.globals.os = present.os
local core = parts.core(bridge, display, job, load_json, env.globals)
env.guard(core.write)

local names = {}
for name in next, G do
  names[#names + 1] = name
end
for index = 1, #names do
  G[names[index]] = nil
end

-- First collection when ten times as much is in use, so that short runs have
-- none; from then on whole collections at half as much again.  In small steps
-- the collector would fall behind large strings and a run would hit its memory
-- limit with garbage.
collectgarbage("setpause", 1000)
collectgarbage("restart", -1)
collectgarbage("setpause", 150)
collectgarbage("setstepmul", 0)

local function text_of(problem)
  if type(problem) == "table" then
    local message = rawget(problem, "message")
    if type(message) == "string" then
      return message
    end
  end
  return display(problem)
end

local function on_error(problem)
  local failure = modules.failure
  local trace = failure and rawequal(failure.problem, problem) and failure.traceback or traceback("", 2)
  return { sub(text_of(problem), 1, MESSAGE_MAX_BYTES), sub(trace, 1, TRACEBACK_MAX_BYTES) }
end

-- Calls a function of the script's; "fault", message, traceback when it raises.
local function guarded(work)
  local function outcome(fine, ...)
    if fine then
      return ...
    end
    local problem = ...
    if type(problem) == "table" then
      return "fault", problem[1], problem[2]
    end
    return "fault", display(problem), ""
  end
  return outcome(xpcall(work, on_error))
end

local function run(source, path, now, offset, seed)
  local chunk, problem = env.compile(source, "@" .. path)
  if not chunk then
    return "fault", sub(problem, 1, MESSAGE_MAX_BYTES), ""
  end
  present.begin(now, offset)
  modules.begin(path)
  randomseed(seed)
  return guarded(function()
    local function entry(...)
      return job.entry(select("#", ...), (...))
    end
    local begin, wrong = entry(chunk())
    if not begin then
      return "invalid", wrong
    end
    local status, note, seconds = job.result(begin())
    if not status then
      return "invalid", note, getinfo(begin, "S").linedefined
    end
    return "done", status, note, seconds
  end)
end

-- Nil when the source compiles, else the compiler's message.
local function check(source, path)
  local _, problem = env.compile(source, "@" .. path)
  return problem
end

return run, check
