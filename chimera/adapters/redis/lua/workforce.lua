-- What the agents that live and do not drain can run: for each crew it, as JSON, and the number of its agents.
-- KEYS[1]: see beat.lua. ARGV: milliseconds until a process is OFFLINE.
local prefix = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local online = redis.call('ZRANGEBYSCORE', prefix .. 'seen', now - ARGV[1], '+inf')
local counts, found = {}, {}
for start = 1, #online, 500 do
    local part = {unpack(online, start, math.min(start + 499, #online))}
    local crews = redis.call('HMGET', prefix .. 'crews', unpack(part))
    for place, states in ipairs(redis.call('HMGET', prefix .. 'states', unpack(part))) do
        local crew = crews[place]
        if crew and string.sub(states, 1, 1) == '+' then
            local _, gone = string.gsub(states, 'X', '')
            counts[crew] = (counts[crew] or 0) + #states - 1 - gone
        end
    end
end
for crew, count in pairs(counts) do
    if count > 0 then
        table.insert(found, crew)
        table.insert(found, count)
    end
end
return found
