-- The run's time: its own start instant plus what has passed since, so that
-- a script sees one consistent present, in UTC and in the server's zone.
local bridge = ...
local date, time, clock, difftime = os.date, os.time, os.clock, os.difftime
local error, rawget, tonumber, type = error, rawget, tonumber, type
local floor, format, gsub, sub = math.floor, string.format, string.gsub, string.sub

local MAX_INSTANT = 2 ^ 47
local start, offset, cpu_start = 0, 0, 0

local present = {}

function present.begin(now, utc_offset)
  start, offset, cpu_start = now, utc_offset, clock()
end

local function now()
  return floor(start + bridge.call("elapsed"))
end

-- One conversion of strftime for this instant; `localtime` as in job.hour().
function present.field(conversion, localtime)
  return date("!%" .. conversion, now() + (localtime and offset or 0))
end

local function zone_text()
  local minutes = floor(offset / 60 + 0.5)
  local sign = minutes < 0 and "-" or "+"
  if minutes < 0 then
    minutes = -minutes
  end
  return sign, floor(minutes / 60), minutes % 60
end

local function with_zone(pattern, utc)
  return (gsub(pattern, "%%(.)", function(conversion)
    if conversion == "z" then
      return utc and "+0000" or format("%s%02d%02d", zone_text())
    elseif conversion == "Z" then
      return utc and "UTC" or format("UTC%s%02d:%02d", zone_text())
    end
    return nil
  end))
end

local function checked_instant(instant, name, position)
  instant = tonumber(instant)
  if not instant or instant ~= instant or instant > MAX_INSTANT or instant < -MAX_INSTANT then
    error("bad argument #" .. position .. " to '" .. name .. "' (a time in seconds expected)", 3)
  end
  return floor(instant)
end

local os = {}

function os.date(pattern, instant)
  if pattern == nil then
    pattern = "%c"
  elseif type(pattern) == "number" then
    pattern = format("%.14g", pattern)
  elseif type(pattern) ~= "string" then
    error("bad argument #1 to 'date' (string expected, got " .. type(pattern) .. ")", 2)
  end
  instant = instant == nil and now() or checked_instant(instant, "date", 2)
  local utc = sub(pattern, 1, 1) == "!"
  if utc then
    pattern = sub(pattern, 2)
  else
    instant = instant + offset
  end
  return date("!" .. with_zone(pattern, utc), instant)
end

local FIELDS = { "year", "month", "day", "hour", "min", "sec" }

function os.time(fields)
  if fields == nil then
    return now()
  elseif type(fields) ~= "table" then
    error("bad argument #1 to 'time' (table expected, got " .. type(fields) .. ")", 2)
  end
  local plain = { hour = 12, min = 0, sec = 0, isdst = false }
  for index = 1, #FIELDS do
    local name = FIELDS[index]
    local value = tonumber(rawget(fields, name))
    if value and value == value and value > -1e9 and value < 1e9 then
      plain[name] = floor(value)
    elseif plain[name] == nil then
      error("field '" .. name .. "' missing in date table", 2)
    end
  end
  local instant = time(plain)
  return instant and instant - offset
end

function os.clock()
  return clock() - cpu_start
end

os.difftime = difftime
present.os = os
return present
