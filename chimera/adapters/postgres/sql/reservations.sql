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
select t.task_id, t.plan_id, t.wave_no, t.skill, coalesce(t.spent_usd, 0) as spent_usd,
       coalesce(t.spent_tokens, 0) as spent_tokens
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[]) with ordinality as r (plan_id, wave_no, place)
  join task t on t.tenant_id = %(tenant)s and t.plan_id = r.plan_id and t.wave_no = r.wave_no
 where t.state = 'queued' and t.replan is null and t.over_budget is null and t.reserved_for is distinct from t.attempt + 1
 order by r.place, t.ordinal
   for update of t skip locked

-- name: idle
-- Reservations of paused plans' queued tasks: nothing of them starts, and others can use what they hold.
select t.task_id, t.plan_id, t.reserved_on as day, t.reserved_usd, t.reserved_tokens
  from plan p
  join budget b on b.tenant_id = p.tenant_id and b.account = 'plan:' || replace(p.plan_id::text, '-', '')
               and (b.reserved_usd > 0 or b.reserved_tokens > 0)
  join wave w on w.tenant_id = p.tenant_id and w.plan_id = p.plan_id and w.state = 'in_flight'
  join task t on t.tenant_id = w.tenant_id and t.plan_id = w.plan_id and t.wave_no = w.wave_no
 where p.tenant_id = %(tenant)s and p.state in ('running', 'in_review') and p.paused_at is not null
   and t.state = 'queued' and t.reserved_for is not null
 order by t.task_id
   for update of t skip locked

-- name: forget_idle
-- Nothing is set aside for these tasks any more.
update task
   set reserved_for = null, reserved_usd = null, reserved_tokens = null, reserved_on = null
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[])

-- name: give_back
-- What was set aside of accounts and is not any more.
update budget b
   set reserved_usd = b.reserved_usd - r.usd, reserved_tokens = b.reserved_tokens - r.tokens
  from unnest(%(accounts)b::text[], %(usd)b::numeric[], %(tokens)b::bigint[]) as r (account, usd, tokens)
 where b.tenant_id = %(tenant)s and b.account = r.account

-- name: today
-- The day in UTC.
select (clock_timestamp() at time zone 'UTC')::date as today

-- name: open_accounts
-- The accounts of today and of plans, where there are none yet.
select open_accounts(%(plans)b::uuid[])

-- name: lock_accounts
-- Accounts, always in this order.
select account, plan_id, allowed_usd, allowed_tokens, reserved_usd, reserved_tokens, spent_usd, spent_tokens,
       overrun_usd, overrun_tokens
  from budget
 where tenant_id = %(tenant)s and account = any (%(accounts)b::text[])
 order by account
   for update

-- name: reserve
-- What is set aside of an account now, under the limit that the policy names now.
update budget b
   set limit_usd = r.limit_usd, limit_tokens = r.limit_tokens, reserved_usd = r.reserved_usd,
       reserved_tokens = r.reserved_tokens
  from unnest(%(accounts)b::text[], %(limits_usd)b::numeric[], %(limits_tokens)b::bigint[], %(reserved_usd)b::numeric[],
              %(reserved_tokens)b::bigint[]) as r (account, limit_usd, limit_tokens, reserved_usd, reserved_tokens)
 where b.tenant_id = %(tenant)s and b.account = r.account

-- name: grant
-- Tasks with what is set aside for their next attempt, and the skill that they run for it.
update task t
   set reserved_for = t.attempt + 1, reserved_usd = r.usd, reserved_tokens = r.tokens, reserved_on = %(today)s,
       skill = r.skill,
       degraded_from = case when r.skill <> t.skill then coalesce(t.degraded_from, t.skill) else t.degraded_from end
  from unnest(%(task_ids)b::uuid[], %(skills)b::text[], %(usd)b::numeric[], %(tokens)b::bigint[])
       as r (task_id, skill, usd, tokens)
 where t.tenant_id = %(tenant)s and t.task_id = r.task_id

-- name: refuse
-- Tasks that do not fit under a limit: the Judge denies them.
update task t
   set over_budget = r.over
  from unnest(%(task_ids)b::uuid[], %(limits)b::text[]) as r (task_id, over)
 where t.tenant_id = %(tenant)s and t.task_id = r.task_id

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
-- What was set aside for attempts that are over becomes what they cost: what the result reports; all of it, where
-- nobody knows; nothing, where they never began. Returns the sums by day.
with over as (
    select t.task_id, t.reserved_on, t.reserved_usd, t.reserved_tokens,
           case g.known when 'reported' then least(coalesce(r.cost_usd, 0), 999999999.999999999)::numeric(18,9)
                      when 'unknown' then t.reserved_usd else 0 end as spent_usd,
           case g.known when 'reported' then coalesce(r.tokens, 0)
                      when 'unknown' then t.reserved_tokens else 0 end as spent_tokens
      from unnest(%(task_ids)b::uuid[], %(known)b::text[]) as g (task_id, known)
      join task t on t.tenant_id = %(tenant)s and t.task_id = g.task_id and t.reserved_for is not null
      left join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.reserved_for
), settled as (
    update task t
       set reserved_for = null, reserved_usd = null, reserved_tokens = null, reserved_on = null,
           spent_usd = least(coalesce(t.spent_usd, 0) + o.spent_usd, 999999999.999999999),
           spent_tokens = least(coalesce(t.spent_tokens, 0) + o.spent_tokens::numeric, 9223372036854775807)::bigint
      from over o
     where t.tenant_id = %(tenant)s and t.task_id = o.task_id
    returning o.reserved_on, o.reserved_usd, o.reserved_tokens, o.spent_usd, o.spent_tokens
)
select reserved_on as day, sum(reserved_usd) as reserved_usd, sum(reserved_tokens) as reserved_tokens,
       least(sum(spent_usd), 999999999.999999999) as spent_usd,
       least(sum(spent_tokens), 9223372036854775807) as spent_tokens,
       least(sum(greatest(spent_usd - reserved_usd, 0)), 999999999.999999999) as overrun_usd,
       least(sum(greatest(spent_tokens - reserved_tokens, 0)), 9223372036854775807) as overrun_tokens
  from settled
 group by reserved_on
 order by reserved_on

-- name: spend
-- An account after that; whether it is limited.
update budget
   set reserved_usd = reserved_usd - %(reserved_usd)s, reserved_tokens = reserved_tokens - %(reserved_tokens)s,
       spent_usd = least(spent_usd + %(spent_usd)s, 999999999.999999999),
       spent_tokens = least(spent_tokens + %(spent_tokens)s::numeric, 9223372036854775807)::bigint,
       overrun_usd = least(overrun_usd + %(overrun_usd)s, 999999999.999999999),
       overrun_tokens = least(overrun_tokens + %(overrun_tokens)s::numeric, 9223372036854775807)::bigint
 where tenant_id = %(tenant)s and account = %(account)s
returning limit_usd is not null as usd_limited, limit_tokens is not null as tokens_limited

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
