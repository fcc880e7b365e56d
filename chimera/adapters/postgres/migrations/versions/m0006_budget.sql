-- Budgets: what is set aside for tasks before they are dispatched, and what they cost.

-- One row for each of a tenant's days and plans. What is spent beyond its reservation is overrun.
create table budget (
    tenant_id        text not null,
    -- day:2026-11-21 (UTC) or plan:<its id in hex>: in this order they are locked.
    account          text not null check (account ~ '^(day:\d{4}-\d\d-\d\d|plan:[0-9a-f]{32})$'),
    plan_id          uuid,
    -- What the policy said at the latest reservation; null is no limit. What people allowed comes on top.
    limit_usd        numeric(18,9) check (limit_usd >= 0),
    limit_tokens     bigint check (limit_tokens >= 0),
    allowed_usd      numeric(18,9) not null default 0 check (allowed_usd >= 0),
    allowed_tokens   bigint not null default 0 check (allowed_tokens >= 0),
    allowed_at       timestamptz,
    reserved_usd     numeric(18,9) not null default 0 check (reserved_usd >= 0),
    reserved_tokens  bigint not null default 0 check (reserved_tokens >= 0),
    spent_usd        numeric(18,9) not null default 0 check (spent_usd >= 0),
    spent_tokens     bigint not null default 0 check (spent_tokens >= 0),
    overrun_usd      numeric(18,9) not null default 0 check (overrun_usd >= 0),
    overrun_tokens   bigint not null default 0 check (overrun_tokens >= 0),
    primary key (tenant_id, account),
    check ((plan_id is null) = (account like 'day:%'))
) with (fillfactor = 50);
alter table budget enable row level security;
alter table budget force row level security;
create policy budget_of_tenant on budget using (tenant_id = (select current_tenant()));

create function refuse_over_limit() returns trigger language plpgsql as $$
begin
    raise exception 'budget %: no more can be reserved than its limit leaves', new.account using errcode = 'check_violation';
end
$$;
-- Whatever asks for it: what is reserved never grows beyond what the limit leaves. (What is spent may, where a result
-- reports more than was set aside.)
create trigger budget_limit before update on budget for each row
    when ((new.reserved_usd > old.reserved_usd and new.reserved_usd + new.spent_usd > new.limit_usd + new.allowed_usd)
       or (new.reserved_tokens > old.reserved_tokens
           and new.reserved_tokens::numeric + new.spent_tokens > new.limit_tokens::numeric + new.allowed_tokens))
    execute function refuse_over_limit();
create trigger budget_begins_empty before insert on budget for each row
    when (new.reserved_usd > 0 or new.reserved_tokens > 0 or new.spent_usd > 0 or new.spent_tokens > 0)
    execute function refuse_over_limit();

alter table task
    -- The attempt that this is set aside for, and the day that it is set aside of.
    add column reserved_for smallint,
    add column reserved_usd numeric(18,9),
    add column reserved_tokens bigint,
    add column reserved_on date,
    -- What its attempts cost.
    add column spent_usd numeric(18,9),
    add column spent_tokens bigint,
    -- The limit that it does not fit under: the Judge denies it.
    add column over_budget text,
    -- The skill that it was planned for, where it runs a cheaper one.
    add column degraded_from text;

-- What is left for tasks of it may grow when others are settled: it is looked at again.
alter table wave add column budget_waits boolean not null default false;
create index wave_budget_waits on wave (tenant_id) where budget_waits;

-- A worker has to know no more of a policy than this. Canonical JSON: the keys are sorted, and `budget` is the first.
alter table policy add column budgeted boolean not null generated always as (body like '{"budget":{%') stored;

-- What waits in the queue is denied where its planner gave it up, or a budget has nothing left for it.
drop trigger task_given_up on task;
create trigger task_given_up before update of state on task for each row
    when (old.state = 'queued' and new.state = 'denied' and new.over_budget is null
          and (old.replan is null or old.replan = 'asked'))
    execute function refuse_task_transition();

-- Who plans also dispatches a plan's first waves, and so reserves; what a task is given it changes only while it is asked
-- about it.
alter policy task_by_app on task using (state = 'queued') with check (state = 'queued');
create function refuse_task_input() returns trigger language plpgsql as $$
begin
    raise exception 'task %: its input changes only while its planner is asked about it', old.task_id
        using errcode = 'insufficient_privilege';
end
$$;
create trigger task_input_stays before update of input, timeout_seconds on task for each row
    when (old.replan is distinct from 'asked' and new.input is not null
          and (new.input::text, new.timeout_seconds) is distinct from (old.input::text, old.timeout_seconds))
    execute function refuse_task_input();

-- Its skill changes only so too, or for a cheaper one; and only what is asked about is given up.
create function refuse_other_work() returns trigger language plpgsql as $$
begin
    raise exception 'task %: its planner was not asked about it', old.task_id using errcode = 'insufficient_privilege';
end
$$;
create trigger task_skill_stays before update of skill on task for each row
    when (new.skill <> old.skill and new.degraded_from is null and old.replan is distinct from 'asked')
    execute function refuse_other_work();
create trigger task_is_asked_first before update of replan on task for each row
    when (new.replan in ('given_up', 'failed') and old.replan is distinct from 'asked')
    execute function refuse_other_work();

-- Who dispatches reserves: app for a new plan's first waves, judge for all others. Only the judge settles, and only the
-- owner allows more.
grant select on budget to chimera_app, chimera_judge;
grant insert (tenant_id, account, plan_id) on budget to chimera_app, chimera_judge;
grant update (limit_usd, limit_tokens, reserved_usd, reserved_tokens) on budget to chimera_app, chimera_judge;
grant update (spent_usd, spent_tokens, overrun_usd, overrun_tokens) on budget to chimera_judge;
grant update (skill, degraded_from, over_budget, reserved_for, reserved_usd, reserved_tokens, reserved_on)
    on task to chimera_app, chimera_judge;
grant update (spent_usd, spent_tokens) on task to chimera_judge;
grant update (budget_waits) on wave to chimera_app;
grant select (paused_by), update (paused_at, paused_by) on plan to chimera_judge;
grant select (tenant_id, number, budgeted) on policy to chimera_worker;
