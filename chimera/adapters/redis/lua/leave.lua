-- Marks a process as ended. KEYS[1]: see beat.lua. ARGV: process.
local states = redis.call('HGET', KEYS[1] .. 'states', ARGV[1])
if states then
    redis.call('ZADD', KEYS[1] .. 'order:X', 0, ARGV[1])
    redis.call('HSET', KEYS[1] .. 'states', ARGV[1], 'x' .. string.sub(states, 2))
end
