-- The time, then the processes that have enough agents of those asked for, four for each: its beat, the time it came,
-- 1 if it is online, 1 if it drains. KEYS[1]: see beat.lua.
-- ARGV: letter of the state or '', node or '', agent to go on after or '', agents wanted, milliseconds until a
-- process is OFFLINE. Returns false where the agent to go on after is not known.
local prefix = KEYS[1]
local letter, node, after, wanted = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found, count = {now}, 0
local from = ''
if after ~= '' then
    from = redis.call('HGET', prefix .. 'agents', after)
    if not from then
        return false
    end
end

-- How many agents of a process are asked for.
local function matching(letters, online)
    if letter == '' or (letter == 'X' and not online) then
        return #letters
    elseif not online then
        return 0
    end
    local _, n = string.gsub(letters, letter, '')
    return n
end

local function look_at(process, mark, letters)
    local seen = redis.call('ZSCORE', prefix .. 'seen', process)
    local online = mark ~= 'x' and now - seen <= tonumber(ARGV[5])
    if process == from then
        -- The page before had the first of these.
        local ids = redis.call('HGET', prefix .. 'ids', process)
        letters = string.sub(letters, (string.find(ids, after, 1, true) + 31) / 32 + 1)
    end
    local n = matching(letters, online)
    if n > 0 then
        count = count + n
        table.insert(found, redis.call('HGET', prefix .. 'beats', process))
        table.insert(found, tonumber(seen))
        table.insert(found, online and 1 or 0)
        table.insert(found, mark == '-' and 1 or 0)
    end
end

local function look(processes)
    if #processes == 0 then
        return
    end
    local states = redis.call('HMGET', prefix .. 'states', unpack(processes))
    for place, process in ipairs(processes) do
        if count >= wanted then
            return
        end
        if letter == '' or letter == 'X' or string.find(states[place], letter, 2, true) then
            look_at(process, string.sub(states[place], 1, 1), string.sub(states[place], 2))
        end
    end
end

-- Those of these processes that are not before the one to go on after, in order.
local function look_in_order(processes)
    local wanted_ones, had = {}, {}
    for _, process in ipairs(processes) do
        if process >= from and not had[process] then
            had[process] = true
            table.insert(wanted_ones, process)
        end
    end
    table.sort(wanted_ones)
    for start = 1, #wanted_ones, 500 do
        look({unpack(wanted_ones, start, math.min(start + 499, #wanted_ones))})
    end
end

if node ~= '' then
    look_in_order(redis.call('SMEMBERS', prefix .. 'node:' .. node))
elseif letter == 'X' then
    local processes = redis.call('ZRANGEBYSCORE', prefix .. 'seen', '-inf', now - ARGV[5])
    for _, process in ipairs(redis.call('ZRANGE', prefix .. 'order:X', 0, -1)) do
        table.insert(processes, process)
    end
    look_in_order(processes)
else
    local order = prefix .. 'order' .. (letter == '' and '' or ':' .. letter)
    local next = from == '' and '-' or '[' .. from
    repeat
        local processes = redis.call('ZRANGEBYLEX', order, next, '+', 'LIMIT', 0, 500)
        look(processes)
        next = '(' .. (processes[#processes] or '')
    until #processes < 500 or count >= wanted
end
return found
