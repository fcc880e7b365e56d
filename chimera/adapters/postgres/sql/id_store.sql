-- name: plans
-- Plans with ids in some ranges: for each a scan of the primary key.
select distinct p.plan_id as id
  from unnest(%(lows)b::uuid[], %(highs)b::uuid[], %(tails)b::text[]) as r (low, high, tail)
 cross join lateral (select plan_id from plan
                      where tenant_id = %(tenant)s and plan_id between r.low and r.high
                        and right(plan_id::text, length(r.tail)) = r.tail
                      order by plan_id limit %(limit)s) p
 order by id
 limit %(limit)s

-- name: tasks
-- Tasks with ids in some ranges: for each a scan of the primary key.
select distinct t.task_id as id
  from unnest(%(lows)b::uuid[], %(highs)b::uuid[], %(tails)b::text[]) as r (low, high, tail)
 cross join lateral (select task_id from task
                      where tenant_id = %(tenant)s and task_id between r.low and r.high
                        and right(task_id::text, length(r.tail)) = r.tail
                      order by task_id limit %(limit)s) t
 order by id
 limit %(limit)s

-- name: cards
-- Review cards with ids in some ranges: for each a scan of an index.
select distinct c.card_id as id
  from unnest(%(lows)b::uuid[], %(highs)b::uuid[], %(tails)b::text[]) as r (low, high, tail)
 cross join lateral (select card_id from review_card
                      where tenant_id = %(tenant)s and card_id between r.low and r.high
                        and right(card_id::text, length(r.tail)) = r.tail
                      order by card_id limit %(limit)s) c
 order by id
 limit %(limit)s
