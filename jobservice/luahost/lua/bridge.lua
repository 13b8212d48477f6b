-- The only way from Lua to the host: one function that takes an operation's
-- name and scalars, and never lets an object of the host's language through.
local host = ...
local error, pcall, type = error, pcall, type

local SCALAR = { ["nil"] = true, boolean = true, number = true, string = true }

local function is_plain(value)
  return SCALAR[type(value)] == true
end

local bridge = {}

-- Returns true and up to two values, or false, a message and a code.
function bridge.try(operation, a, b)
  if not (is_plain(a) and is_plain(b)) then
    return false, "only texts, numbers, booleans and nil can leave the script"
  end
  local arrived, good, first, second = pcall(host, operation, a, b)
  if arrived and is_plain(good) and is_plain(first) and is_plain(second) then
    return good, first, second
  end
  return false, "the runtime could not carry out '" .. operation .. "'"
end

-- As try, but raises the message at the caller's caller.
function bridge.call(operation, a, b)
  local good, first, second = bridge.try(operation, a, b)
  if not good then
    error(first, 3)
  end
  return first, second
end

return bridge
