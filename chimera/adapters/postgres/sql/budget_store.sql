-- name: plan
-- Whether there is such a plan.
select plan_id from plan where tenant_id = %(tenant)s and plan_id = %(plan)s

-- name: today
-- The day in UTC.
select (clock_timestamp() at time zone 'UTC')::date as today

-- name: account
-- An account.
select account, plan_id, allowed_usd, allowed_tokens, reserved_usd, reserved_tokens, spent_usd, spent_tokens,
       overrun_usd, overrun_tokens
  from budget
 where tenant_id = %(tenant)s and account = %(account)s

-- name: plans
-- The accounts of the latest plans that have one.
select account, plan_id, allowed_usd, allowed_tokens, reserved_usd, reserved_tokens, spent_usd, spent_tokens,
       overrun_usd, overrun_tokens
  from budget
 where tenant_id = %(tenant)s and account like 'plan:%%'
 order by account desc
 limit %(limit)s

-- name: costs
-- A plan's tasks with what they cost.
select task_id, wave_no, ordinal, skill, degraded_from, state, attempt,
       coalesce(reserved_usd, 0) as reserved_usd, coalesce(reserved_tokens, 0) as reserved_tokens,
       coalesce(spent_usd, 0) as spent_usd, coalesce(spent_tokens, 0) as spent_tokens
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and (wave_no, ordinal) > (%(wave_no)s, %(ordinal)s)
 order by wave_no, ordinal
 limit %(limit)s

-- name: allow
-- More on top of an account's limit, from now on: whoever reserves meanwhile is waited for.
insert into budget as b (tenant_id, account, plan_id, allowed_usd, allowed_tokens, allowed_at)
values (%(tenant)s, %(account)s, %(plan)s, %(usd)s, %(tokens)s, clock_timestamp())
    on conflict (tenant_id, account) do update
       set allowed_usd = least(b.allowed_usd + excluded.allowed_usd, 999999999.999999999),
           allowed_tokens = least(b.allowed_tokens + excluded.allowed_tokens::numeric, 9223372036854775807)::bigint,
           allowed_at = clock_timestamp()
returning account, plan_id, allowed_usd, allowed_tokens, reserved_usd, reserved_tokens, spent_usd, spent_tokens,
          overrun_usd, overrun_tokens
