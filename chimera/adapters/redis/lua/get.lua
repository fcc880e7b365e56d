-- The process of an agent, as list.lua gives each; false where there is none. KEYS[1]: see beat.lua.
-- ARGV: agent, milliseconds until a process is OFFLINE.
local prefix = KEYS[1]
local process = redis.call('HGET', prefix .. 'agents', ARGV[1])
if not process then
    return false
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = redis.call('ZSCORE', prefix .. 'seen', process)
local mark = string.sub(redis.call('HGET', prefix .. 'states', process), 1, 1)
local online = mark ~= 'x' and now - seen <= tonumber(ARGV[2])
return {redis.call('HGET', prefix .. 'beats', process), tonumber(seen), online and 1 or 0, mark == '-' and 1 or 0}
