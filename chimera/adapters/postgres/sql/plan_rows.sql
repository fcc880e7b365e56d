-- name: insert_waves
-- The waves of a plan.
insert into wave (tenant_id, plan_id, wave_no, priority, has_dependencies, task_count)
select %(tenant)s, %(plan)s, r.wave_no, %(priority)s, r.has_dependencies, r.task_count
  from unnest(%(wave_nos)b::int[], %(dependent)b::bool[], %(task_counts)b::int[])
       as r (wave_no, has_dependencies, task_count)

-- name: mark_published
-- The planner's message is sent.
update plan set published_at = clock_timestamp(), epoch = %(epoch)s where tenant_id = %(tenant)s and plan_id = %(plan)s

-- name: lock_plan
-- The plan's state, locked.
select state, stop_state from plan where tenant_id = %(tenant)s and plan_id = %(plan)s for update

-- name: stop
-- The plan stops: at once where it has no task yet, else when the Judge has closed what is open.
update plan
   set stop_state = %(end)s, stopped_by = %(actor)s, lease_token = null, lease_until = null,
       state = case when state in ('submitted', 'planning') then %(end)s else 'stopping' end,
       finished_at = case when state in ('submitted', 'planning') then clock_timestamp() end
 where tenant_id = %(tenant)s and plan_id = %(plan)s
returning state

-- name: unsend_waves
-- Their waves in flight with tasks that wait: the messages were spent while nothing might start. Before the plans, as
-- the Judge locks them.
with spent as (
    select w.plan_id, w.wave_no
      from wave w
     where w.tenant_id = %(tenant)s and w.plan_id = any (%(plans)b::uuid[]) and w.state = 'in_flight'
       and exists (select from task t where t.tenant_id = w.tenant_id and t.plan_id = w.plan_id
                                        and t.wave_no = w.wave_no and t.state = 'queued')
     order by w.plan_id, w.wave_no
       for update
)
update wave w
   set published_at = null, touched_at = '-infinity'
  from spent
 where w.tenant_id = %(tenant)s and w.plan_id = spent.plan_id and w.wave_no = spent.wave_no

-- name: resume
-- They go on; for those that wait for a planner its message is sent next.
with chosen as (
    select plan_id from plan
     where tenant_id = %(tenant)s and plan_id = any (%(plans)b::uuid[])
       and state in ('submitted', 'planning', 'running', 'in_review') and paused_at is not null
     order by plan_id
       for update
)
update plan p
   set paused_at = null, paused_by = null,
       published_at = case when p.state = 'submitted' then clock_timestamp() else p.published_at end
  from chosen
 where p.tenant_id = %(tenant)s and p.plan_id = chosen.plan_id
returning p.plan_id, p.state
