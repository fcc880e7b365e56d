-- For each agent 'alive' if it may still run, 'gone' if its own process says so, else 'silent'. KEYS[1]: see beat.lua.
-- ARGV: milliseconds until a process is OFFLINE, then agents.
local prefix, limit = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('HGET', prefix .. 'pulse', 'last')
local since = redis.call('HGET', prefix .. 'pulse', 'since')
-- No beat of anybody came for that time, or beats have only just begun to come again: no death can be told from that.
local nothing_known = not last or now - last > limit or now - since <= limit

local function standing(agent)
    local process = redis.call('HGET', prefix .. 'agents', agent)
    if not process then
        return nothing_known and 'alive' or 'silent'
    end
    local states = redis.call('HGET', prefix .. 'states', process)
    local slot = (string.find(redis.call('HGET', prefix .. 'ids', process), agent, 1, true) + 31) / 32
    if string.sub(states, 1, 1) == 'x' or string.sub(states, slot + 1, slot + 1) == 'X' then
        return 'gone'
    end
    local seen = redis.call('ZSCORE', prefix .. 'seen', process)
    return (nothing_known or now - seen <= limit) and 'alive' or 'silent'
end

local answers = {}
for place = 2, #ARGV do
    answers[place - 1] = standing(ARGV[place])
end
return answers
