-- Writes all that is known of a process; returns 1 if it is to drain, else 0.
--
-- KEYS[1] is the prefix of every key; its hash tag keeps them in one slot of a cluster. Below it:
--   seen         sorted set   process -> time of its last beat
--   order        sorted set   process -> 0: ids of version 7 sort by the start of their process
--   order:<l>    sorted set   the same of those processes that have an agent in the state of this letter;
--                             under X those too that left
--   beats        hash         process -> its last beat, JSON
--   states       hash         process -> "+" (works), "-" (drains) or "x" (left), then a letter for each slot:
--                             B(usy), A(ctive), I(dle), X (OFFLINE)
--   crews        hash         process -> what its agents can run, JSON: the same text for those that can run the same
--   ids          hash         process -> its agents, 32 hex digits each, in the order of the slots
--   agents       hash         agent -> process
--   nodes        hash         process -> name of its node
--   node:<name>  set          the processes of a node
--   pulse        hash         last: time of anybody's last beat; since: when beats began to come without a gap
-- Times are milliseconds since the epoch by this server's clock.
--
-- ARGV: process, node, beat, letters, ids, whether it says it drains, whether that holds against what is noted
-- here, milliseconds until a process is OFFLINE, and until it is forgotten; what its agents can run.
local LETTERS = {'B', 'A', 'I', 'X'}
local prefix = KEYS[1]
local process, node, beat, letters, ids = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function index(text, write)
    for place = 1, #text, 32 do
        write(string.sub(text, place, place + 31))
    end
end
local function forget_agent(agent)
    redis.call('HDEL', prefix .. 'agents', agent)
end

local last = redis.call('HGET', prefix .. 'pulse', 'last')
if not last or now - last > tonumber(ARGV[8]) then
    redis.call('HSET', prefix .. 'pulse', 'since', now)
end
redis.call('HSET', prefix .. 'pulse', 'last', now)

local known = redis.call('HGET', prefix .. 'states', process)
local mark = known and string.sub(known, 1, 1)
if not known or mark == 'x' or ARGV[7] == '1' then
    mark = ARGV[6] == '1' and '-' or '+'
end
if not known then
    redis.call('ZADD', prefix .. 'order', 0, process)
    redis.call('HSET', prefix .. 'nodes', process, node)
    redis.call('SADD', prefix .. 'node:' .. node, process)
end
if not known or string.sub(known, 1, 1) == 'x' or string.sub(known, 2) ~= letters then
    for _, letter in ipairs(LETTERS) do
        if string.find(letters, letter, 1, true) then
            redis.call('ZADD', prefix .. 'order:' .. letter, 0, process)
        else
            redis.call('ZREM', prefix .. 'order:' .. letter, process)
        end
    end
end
redis.call('ZADD', prefix .. 'seen', now, process)
redis.call('HSET', prefix .. 'beats', process, beat)
redis.call('HSET', prefix .. 'crews', process, ARGV[10])
redis.call('HSET', prefix .. 'states', process, mark .. letters)
local before = redis.call('HGET', prefix .. 'ids', process)
if before ~= ids then
    index(before or '', forget_agent)
    index(ids, function(agent) redis.call('HSET', prefix .. 'agents', agent, process) end)
    redis.call('HSET', prefix .. 'ids', process, ids)
end

-- A few at a time: each beat takes its part in forgetting.
local forgotten = redis.call('ZRANGEBYSCORE', prefix .. 'seen', '-inf', now - ARGV[9], 'LIMIT', 0, 10)
for _, gone in ipairs(forgotten) do
    index(redis.call('HGET', prefix .. 'ids', gone) or '', forget_agent)
    redis.call('SREM', prefix .. 'node:' .. (redis.call('HGET', prefix .. 'nodes', gone) or ''), gone)
    for _, name in ipairs({'beats', 'states', 'crews', 'ids', 'nodes'}) do
        redis.call('HDEL', prefix .. name, gone)
    end
    redis.call('ZREM', prefix .. 'seen', gone)
    redis.call('ZREM', prefix .. 'order', gone)
    for _, letter in ipairs(LETTERS) do
        redis.call('ZREM', prefix .. 'order:' .. letter, gone)
    end
end
return mark == '-' and 1 or 0
