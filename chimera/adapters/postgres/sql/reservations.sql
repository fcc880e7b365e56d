-- name: look
-- Whether a budget applies to the tenant, and whether waves of it wait for what others leave of one.
select coalesce((select budgeted from policy where tenant_id in (%(tenant)s, '*')
                  order by tenant_id = '*', number desc limit 1), false) as budgeted,
       exists (select from wave where tenant_id = %(tenant)s and budget_waits) as waits

-- name: wait_no_more
-- Where no budget applies any more, what waited for one is to be sent.
update wave set budget_waits = false, published_at = null, touched_at = '-infinity'
 where tenant_id = %(tenant)s and budget_waits

-- name: waiting_waves
-- Waves that were sent without some of their tasks, for which there may be something left now.
select w.plan_id, w.wave_no, w.priority, p.trace_id
  from wave w
  join plan p on p.tenant_id = w.tenant_id and p.plan_id = w.plan_id
 where w.tenant_id = %(tenant)s and w.budget_waits and w.state = 'in_flight' and w.published_at is not null
   and p.state in ('running', 'in_review') and p.paused_at is null
 order by w.priority desc, w.plan_id, w.wave_no
   for update of w skip locked

-- name: asking
-- The queued tasks of these waves that nothing is set aside for; locked, which keeps no agent from the others.
select task_id, plan_id, wave_no, skill, spent_usd, spent_tokens from asking_tasks(%(plans)b::uuid[], %(wave_nos)b::int[])

-- name: accounts_of
-- The accounts of today and of plans, locked, and under the limits that the policy names now.
select account, plan_id, allowed_usd, allowed_tokens, reserved_usd, reserved_tokens, spent_usd, spent_tokens,
       overrun_usd, overrun_tokens
  from budget_accounts(%(plans)b::uuid[])

-- name: grant
-- Tasks for whose next attempt something is set aside, and the skills that they run for it.
select set_aside(%(task_ids)b::uuid[], %(skills)b::text[])

-- name: refuse
-- Tasks that do not fit under a limit: the Judge denies them.
select mark_over_budget(%(task_ids)b::uuid[], %(limits)b::text[])

-- name: pause
-- Plans wait for a person. What somebody is changing just now is left alone, and looked at again.
with chosen as (
    select p.plan_id, r.over
      from unnest(%(plans)b::uuid[], %(limits)b::text[]) as r (plan_id, over)
      join plan p on p.tenant_id = %(tenant)s and p.plan_id = r.plan_id
     where p.state in ('running', 'in_review') and p.paused_at is null
     order by p.plan_id
       for update of p skip locked
)
update plan p
   set paused_at = clock_timestamp(), paused_by = chosen.over
  from chosen
 where p.tenant_id = %(tenant)s and p.plan_id = chosen.plan_id
returning p.plan_id

-- name: note_waves
-- Which waves wait for what others leave; those of them that have got something are to be sent, as a part.
update wave w
   set budget_waits = r.waits,
       published_at = case when r.again then null else w.published_at end,
       touched_at = case when r.again then clock_timestamp() else w.touched_at end,
       publish_count = case when r.again then greatest(w.publish_count - 1, 0) else w.publish_count end
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[], %(waits)b::bool[], %(again)b::bool[])
       as r (plan_id, wave_no, waits, again)
 where w.tenant_id = %(tenant)s and w.plan_id = r.plan_id and w.wave_no = r.wave_no
   and (w.budget_waits <> r.waits or r.again)

-- name: queued
-- The queued tasks of these waves: those that something is set aside for, and those that the Judge denies.
select t.plan_id, t.wave_no, t.task_id, t.skill, t.timeout_seconds,
       t.lost > 0 or (t.attempt > 0 and t.attempt = t.max_attempts - 1) as alone,
       t.over_budget is not null as refused
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[]) as r (plan_id, wave_no)
  join task t on t.tenant_id = %(tenant)s and t.plan_id = r.plan_id and t.wave_no = r.wave_no
 where t.state = 'queued' and t.replan is null and (t.over_budget is not null or t.reserved_for = t.attempt + 1)
 order by t.plan_id, t.wave_no, t.ordinal

-- name: accounts
-- Whether something was ever set aside for a task of the tenant's: without it there is nothing to settle.
select exists (select from budget where tenant_id = %(tenant)s) as found

-- name: settle
-- What was set aside for a plan's attempts that are over becomes what they cost; returns by how much more that is.
select overrun_usd, overrun_tokens from settle_budget(%(plan)s, %(task_ids)b::uuid[])

-- name: tenants_paused
-- Tenants with plans that a budget has paused, of all.
select distinct tenant_id from plan
 where state in ('running', 'in_review') and paused_by in ('budget.day', 'budget.plan')

-- name: go_on
-- A tenant's plans that a budget has paused and for which there may be something left now: the day is over, or since
-- then somebody has allowed more or applied a policy.
select p.plan_id
  from plan p
 where p.tenant_id = %(tenant)s and p.state in ('running', 'in_review') and p.paused_by in ('budget.day', 'budget.plan')
   and ((p.paused_by = 'budget.day'
         and (p.paused_at at time zone 'UTC')::date < (clock_timestamp() at time zone 'UTC')::date)
        or exists (select from budget b
                    where b.tenant_id = p.tenant_id and b.allowed_at > p.paused_at
                      and (b.plan_id = p.plan_id
                           or b.account = 'day:' || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD')))
        or exists (select from policy y where y.tenant_id in (p.tenant_id, '*') and y.applied_at > p.paused_at))
 order by p.plan_id
 limit 500
