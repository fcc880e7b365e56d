-- name: begin
-- The lease of the wave's next task that waits for its planner, while its plan goes on; the planner is one of these, and
-- this process may run it.
with next as (
    select t.task_id, p.planner, p.goal, p.inputs, p.trace_id
      from task t
      join plan p on p.tenant_id = t.tenant_id and p.plan_id = t.plan_id
     where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
       and t.state = 'queued' and t.replan = 'asked' and (t.lease_until is null or t.lease_until < clock_timestamp())
       and p.state in ('running', 'in_review') and p.paused_at is null and p.planner = any (%(planners)s::text[])
       and may_run_code()
       and (p.deadline is null or p.deadline > clock_timestamp())
     order by t.ordinal
     limit 1
       for update of t
)
update task t
   set lease_token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
       replan_tries = t.replan_tries + 1
  from next
 where t.tenant_id = %(tenant)s and t.task_id = next.task_id
returning t.task_id, t.skill, t.input, t.attempt, t.max_attempts, t.timeout_seconds, t.state_key, t.feedback,
          t.replans as depth, t.replan_tries as tries, next.planner, next.goal, next.inputs, next.trace_id,
          (select r.outcome from result r
            where r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt) as outcome

-- name: renew
-- More time for the planner that holds the task's lease, while the plan goes on.
update task t
   set lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
  from plan p
 where t.tenant_id = %(tenant)s and t.task_id = %(task)s and t.lease_token = %(token)s
   and t.state = 'queued' and t.replan = 'asked'
   and p.tenant_id = t.tenant_id and p.plan_id = t.plan_id and p.state in ('running', 'in_review')
   and (p.deadline is null or p.deadline > clock_timestamp())
returning t.task_id

-- name: save
-- The task as it is done from now on, for the one that holds its lease: it waits for an agent again. What it was
-- before is kept, since that is what the attempts up to now were made from.
with old as (
    select t.task_id, t.attempt, t.skill, t.input
      from task t
      join plan p on p.tenant_id = t.tenant_id and p.plan_id = t.plan_id
     where t.tenant_id = %(tenant)s and t.task_id = %(task)s and t.lease_token = %(token)s
       and t.state = 'queued' and t.replan = 'asked' and p.state in ('running', 'in_review')
       for update of t
), kept as (
    insert into replanned (tenant_id, task_id, attempt, skill, input)
    select %(tenant)s, task_id, attempt, skill, input from old
)
update task t
   set skill = %(skill)s, input = %(input)s::json, timeout_seconds = %(timeout)s,
       degraded_from = case when t.skill = %(skill)s then t.degraded_from end,
       replan = null, replan_tries = 0, lease_token = null, lease_until = null
  from old
 where t.tenant_id = %(tenant)s and t.task_id = old.task_id
returning t.attempt, t.replans

-- name: send_wave
-- The wave is to be sent again.
update wave
   set published_at = null, touched_at = '-infinity'
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s and state = 'in_flight'

-- name: give_up
-- The task is for the Judge to end.
update task
   set replan = case when %(failure)s::text is null then 'given_up' else 'failed' end, replan_failure = %(failure)s,
       lease_token = null, lease_until = null
 where tenant_id = %(tenant)s and task_id = %(task)s and lease_token = %(token)s and state = 'queued' and replan = 'asked'
returning attempt, replans

-- name: postpone
-- The task waits for the given seconds before its planner is asked again.
update task
   set lease_token = null, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and task_id = %(task)s and lease_token = %(token)s and state = 'queued' and replan = 'asked'
returning attempt, replans

-- name: look_later
-- Somebody asks: the sweep sends nothing for the given seconds. Never earlier than it would have.
update wave
   set replan_at = greatest(replan_at, clock_timestamp() + make_interval(secs => %(seconds)s))
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s

-- name: look_sooner
-- The sweep looks at the wave then.
update wave
   set replan_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and replan_at > clock_timestamp() + make_interval(secs => %(seconds)s)
