-- name: plan
-- How a plan stands.
select state, paused_at is not null as paused from plan where tenant_id = %(tenant)s and plan_id = %(plan)s

-- name: stop_open
-- Open plans stop, oldest first: those without tasks at once, the others when the Judge has closed what is open.
with chosen as (
    select plan_id from plan
     where tenant_id = %(tenant)s and state in ('submitted', 'planning', 'running', 'in_review')
       and (%(session_id)s::text is null or session_id = %(session_id)s)
     order by plan_id
     limit %(limit)s
       for update
)
update plan p
   set stop_state = %(end)s, stopped_by = %(actor)s, lease_token = null, lease_until = null,
       state = case when p.state in ('submitted', 'planning') then %(end)s else 'stopping' end,
       finished_at = case when p.state in ('submitted', 'planning') then clock_timestamp() end
  from chosen
 where p.tenant_id = %(tenant)s and p.plan_id = chosen.plan_id
returning p.plan_id, p.state

-- name: pause
-- Open plans that are not paused, one or oldest first, are. What a budget has paused is a person's from then on.
with chosen as (
    select plan_id from plan
     where tenant_id = %(tenant)s and state in ('submitted', 'planning', 'running', 'in_review')
       and (paused_at is null or paused_by in ('budget.day', 'budget.plan'))
       and (%(plan)s::uuid is null or plan_id = %(plan)s)
       and (%(session_id)s::text is null or session_id = %(session_id)s)
     order by plan_id
     limit %(limit)s
       for update
)
update plan p
   set paused_at = clock_timestamp(), paused_by = %(actor)s
  from chosen
 where p.tenant_id = %(tenant)s and p.plan_id = chosen.plan_id
returning p.plan_id, p.state

-- name: paused
-- Open plans that are paused: one, or oldest first.
select plan_id from plan
 where tenant_id = %(tenant)s and state in ('submitted', 'planning', 'running', 'in_review') and paused_at is not null
   and (%(plan)s::uuid is null or plan_id = %(plan)s)
   and (%(session_id)s::text is null or session_id = %(session_id)s)
 order by plan_id
 limit %(limit)s

-- name: lock_retried
-- A plan of which something is tried again: one such at a time.
select state, task_count, session_id, erased_at is not null as erased
  from plan where tenant_id = %(tenant)s and plan_id = %(plan)s for no key update

-- name: tasks_to_retry
-- Tasks that ended so, have not been tried again and still have their input, with those they need that nobody has approved since.
select t.task_id,
       case when t.depends_on is not null then array(
           select d.task_id from task d
            where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on) and d.state <> 'approved'
              and not exists (select from task c where c.tenant_id = d.tenant_id and c.parent_task_id = d.task_id
                                                   and c.state = 'approved'))
       end as unmet
  from task t
 where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.state = any (%(states)s)
   and (%(task)s::uuid is null or t.task_id = %(task)s)
   and t.erased_at is null
   and not exists (select from task c where c.tenant_id = t.tenant_id and c.parent_task_id = t.task_id)
 order by t.ordinal

-- name: latest_retry
-- The plan that tries again what ended so, the latest if there are several: the plan as a whole, or tasks of it.
select p.plan_id, p.state, p.task_count
  from plan p
 where p.tenant_id = %(tenant)s and p.retry_of = %(plan)s
   and (%(anew)s or exists (
        select from task c
          join task t on t.tenant_id = c.tenant_id and t.task_id = c.parent_task_id
         where c.tenant_id = p.tenant_id and c.plan_id = p.plan_id and t.state = any (%(states)s)
           and (%(task)s::uuid is null or t.task_id = %(task)s)))
 order by p.plan_id desc
 limit 1

-- name: insert_retry
-- A plan like another, to try again what that failed at; the request's identity stays that of the first. Where it
-- waits for a planner, that one's message is sent next.
insert into plan (tenant_id, plan_id, session_id, planner, goal, inputs, priority, deadline, request_sha256, trace_id,
                  state, task_count, first_audit_seq, submitted_at, published_at, retry_of, has_replan, paused_at, paused_by)
select tenant_id, %(new_plan)s, session_id, planner, goal, inputs, priority, %(deadline)s, request_sha256, trace_id,
       %(state)s, %(task_count)s, %(first_audit_seq)s, clock_timestamp(), clock_timestamp(), plan_id, has_replan,
       case when %(paused_by)s::text is not null then clock_timestamp() end, %(paused_by)s
  from plan
 where tenant_id = %(tenant)s and plan_id = %(plan)s
returning planner, priority, trace_id, request_sha256

-- name: copy_tasks
-- Tasks like others, each in its place in the new plan. Their inputs never leave the database.
insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, parent_task_id, skill, input, label, priority,
                  timeout_seconds, max_attempts, depends_on, state_key, input_bytes)
select %(tenant)s, %(new_plan)s, r.wave_no, r.ordinal, r.task_id, r.parent_task_id, coalesce(t.degraded_from, t.skill),
       t.input, t.label, t.priority,
       t.timeout_seconds, t.max_attempts, r.depends_on::uuid[], t.state_key, t.input_bytes
  from unnest(%(wave_nos)b::int[], %(ordinals)b::int[], %(task_ids)b::uuid[], %(parents)b::uuid[], %(depends_on)b::text[])
       as r (wave_no, ordinal, task_id, parent_task_id, depends_on)
  join task t on t.tenant_id = %(tenant)s and t.task_id = r.parent_task_id

-- name: retryable
-- Plans of which something ended in these ways and nothing is open, by id.
select p.plan_id
  from plan p
 where p.tenant_id = %(tenant)s and p.plan_id > %(after)s
   and (%(session_id)s::text is null or p.session_id = %(session_id)s)
   and p.state in ('in_review', 'completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')
   and case when p.task_count = 0 then p.state = any (%(plan_states)s)
            else exists (
                select from wave w
                 where w.tenant_id = p.tenant_id and w.plan_id = p.plan_id
                   and (('exhausted' = any (%(states)s) and w.exhausted > 0)
                        or ('denied' = any (%(states)s) and w.denied > 0)
                        or ('cancelled' = any (%(states)s) and w.cancelled > 0)))
       end
 order by p.plan_id
 limit %(limit)s
