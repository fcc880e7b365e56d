-- name: open_plans
-- Plans that have not ended.
select count(*) as open from plan where state in ('submitted', 'planning', 'running', 'in_review', 'stopping')

-- name: tasks_under_way
-- Tasks of waves in flight that wait for an agent, run, or wait for the Judge.
select t.task_id, t.state, t.attempt::int
  from wave w
  join plan p on p.plan_id = w.plan_id and p.state in ('running', 'in_review')
  join task t on t.plan_id = w.plan_id and t.wave_no = w.wave_no
 where w.state = 'in_flight' and t.state in ('queued', 'running', 'staged')

-- name: plans_under_way
-- Plans that wait for their planner, or are being stopped.
select plan_id, state from plan where state in ('submitted', 'planning', 'stopping')

-- name: standing_still
-- How many of those have not gone on.
select (select count(*)
          from unnest(%(task_ids)s::uuid[], %(states)s::text[], %(attempts)s::int[]) as b (task_id, state, attempt)
          join task t on t.task_id = b.task_id
         where case when b.state = 'staged' then t.state = 'staged' and t.attempt = b.attempt
                    else t.state in ('queued', 'running') and not exists (
                         select from result r
                          where r.task_id = b.task_id and r.attempt >= b.attempt + (b.state = 'queued')::int) end)
     + (select count(*)
          from unnest(%(plan_ids)s::uuid[], %(plan_states)s::text[]) as b (plan_id, state)
          join plan p on p.plan_id = b.plan_id
         where case when b.state = 'stopping' then p.state = 'stopping' else p.state in ('submitted', 'planning') end)
       as still

-- name: committed
-- Whether anything is committed.
select count(*) as committed from (select from commit limit 1) c
