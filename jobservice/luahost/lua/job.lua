-- core.job(): the object a script hangs its run function on, and the check of
-- what that function returned.
local present, display = ...
local error, next, rawequal, setmetatable, select, tonumber, type =
  error, next, rawequal, setmetatable, select, tonumber, type
local format, gsub, sub = string.format, string.gsub, string.sub

local ALLOWED = "Return job.OK, job.SLEEP, job.STOP or job.EXIT."
local SLEEP_RANGE_S = { 1, 31536000 }
local NOTE_MAX_BYTES = 2000

local function constant(name)
  return setmetatable({}, {
    __tostring = function()
      return name
    end,
    __newindex = function()
      error(name .. " cannot be changed", 2)
    end,
    __metatable = false,
  })
end

local STATUSES = { OK = constant("job.OK"), SLEEP = constant("job.SLEEP"), STOP = constant("job.STOP"), EXIT = constant("job.EXIT") }

local HELPERS = {}

local function helper(name, conversion, is_number)
  HELPERS[name] = function(localtime)
    local text = present.field(conversion, localtime)
    if is_number then
      return tonumber(text)
    end
    return text
  end
end

helper("minute", "M", true)
helper("hour", "H", true)
helper("day", "a", false)
helper("dayNum", "u", true)
helper("dayMonth", "d", true)
helper("weekNum", "W", true)
helper("month", "b", false)
helper("monthNum", "m", true)

local job = {}

function job.new()
  local object = {}
  for name, value in next, STATUSES do
    object[name] = value
  end
  for name, value in next, HELPERS do
    object[name] = value
  end
  return object
end

local function named(value)
  local kind = type(value)
  if kind == "string" then
    local text = gsub(sub(value, 1, 40), "%c", "?")
    return format('the string "%s"%s', text, #value > 40 and "..." or "")
  elseif kind == "number" or kind == "boolean" then
    return "the " .. kind .. " " .. display(value)
  end
  return "a " .. kind
end

-- What the file returned -> its run function, or nil and what is wrong.
function job.entry(count, object)
  if count == 0 or object == nil then
    return nil, "The script does not return its job. End the file with: return job"
  elseif type(object) ~= "table" then
    return nil, "The script returned " .. named(object) .. " instead of its job. End the file with: return job"
  elseif object.run == nil then
    return nil, "The job has no run function. Define function job.run() ... end before return job."
  elseif type(object.run) ~= "function" then
    return nil, "job.run must be a function; it is " .. named(object.run) .. "."
  end
  return object.run
end

local function invalid(count, value)
  if count == 0 then
    return "job.run() returned nothing. " .. ALLOWED
  elseif value == nil then
    return "job.run() returned nil; a constant that does not exist, such as job.DONE, is nil. " .. ALLOWED
  end
  return "job.run() returned " .. named(value) .. ". " .. ALLOWED
end

local function note_in(...)
  for index = 1, select("#", ...) do
    local value = select(index, ...)
    if type(value) == "string" then
      return sub(value, 1, NOTE_MAX_BYTES)
    end
  end
  return ""
end

local function seconds_in(value)
  if type(value) ~= "number" or value ~= value then
    return nil
  end
  local low, high = SLEEP_RANGE_S[1], SLEEP_RANGE_S[2]
  return value < low and low or value > high and high or value
end

-- What run returned -> status name, note and seconds; or nil and what is wrong.
function job.result(...)
  local count, value = select("#", ...), (...)
  for name, status in next, STATUSES do
    if rawequal(value, status) then
      local seconds = name == "SLEEP" and seconds_in((select(2, ...))) or nil
      return name, note_in(select(2, ...)), seconds
    end
  end
  return nil, invalid(count, value)
end

return job
