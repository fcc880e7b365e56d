-- Counts the agents that live and do not drain. KEYS[1]: see beat.lua. ARGV: milliseconds until a process is OFFLINE.
local prefix = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local online = redis.call('ZRANGEBYSCORE', prefix .. 'seen', now - ARGV[1], '+inf')
local count = 0
for start = 1, #online, 500 do
    local part = {unpack(online, start, math.min(start + 499, #online))}
    for _, states in ipairs(redis.call('HMGET', prefix .. 'states', unpack(part))) do
        if string.sub(states, 1, 1) == '+' then
            local _, gone = string.gsub(states, 'X', '')
            count = count + #states - 1 - gone
        end
    end
end
return count
