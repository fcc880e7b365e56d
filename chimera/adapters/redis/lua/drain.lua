-- Notes that processes are to drain, or no longer; returns how many living agents they have, -1 where there is no
-- such agent or node. KEYS[1]: see beat.lua.
-- ARGV: agent or '', node or '', 1 or 0, milliseconds until a process is OFFLINE.
local prefix = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local processes
if ARGV[1] ~= '' then
    processes = {redis.call('HGET', prefix .. 'agents', ARGV[1]) or nil}
else
    processes = redis.call('SMEMBERS', prefix .. 'node:' .. ARGV[2])
end
if #processes == 0 then
    return -1
end
local count = 0
for _, process in ipairs(processes) do
    local seen = redis.call('ZSCORE', prefix .. 'seen', process)
    local states = redis.call('HGET', prefix .. 'states', process)
    if now - seen <= tonumber(ARGV[4]) and string.sub(states, 1, 1) ~= 'x' then
        local letters = string.sub(states, 2)
        redis.call('HSET', prefix .. 'states', process, (ARGV[3] == '1' and '-' or '+') .. letters)
        local _, gone = string.gsub(letters, 'X', '')
        count = count + #letters - gone
    end
end
return count
