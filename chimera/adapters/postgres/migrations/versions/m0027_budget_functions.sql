-- Budgets are written by functions. What is set aside for a task, and under which limit, is what the tenant's policy says;
-- what an attempt cost is what its result says. Nothing of it is taken from the caller.

-- The policy that applies to the tenant; null where that is the one built in, which has no budget.
create function policy_now() returns jsonb language sql stable
    set search_path = public, pg_temp
begin atomic
    select body::jsonb from policy where tenant_id in (current_tenant(), '*')
     order by tenant_id = '*', number desc limit 1;
end;

-- What one attempt at a task of a skill sets aside, by a policy: of_skill in models/gate/policy.py.
create function reserve_of(rules jsonb, skill text, out usd numeric, out tokens bigint) language sql immutable
    set search_path = public, pg_temp
begin atomic
    select coalesce((r.reserve ->> 'cost_usd')::numeric, 0), coalesce((r.reserve ->> 'tokens')::bigint, 0)
      from (select coalesce(nullif(rules #> array['skills', skill, 'reserve'], 'null'),
                            rules #> '{defaults,reserve}') as reserve) r;
end;

-- The account of a day, and that of a plan: as models/budget/budget.py names them, whatever DateStyle the caller has set.
create function day_account(day date) returns text language sql stable parallel safe
    return 'day:' || to_char(day, 'YYYY-MM-DD');
create function plan_account(plan uuid) returns text language sql immutable parallel safe
    return 'plan:' || replace(plan::text, '-', '');

-- The accounts of today and of these plans of the tenant's, locked in the order of their names and under the limits that the
-- policy names now. What the queued tasks of paused plans hold is given back first: nothing of them starts, and others
-- can use it.
create function budget_accounts(plans uuid[]) returns setof budget language plpgsql security definer
    set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    tenant constant text := current_tenant();
    rules constant jsonb := policy_now();
    today constant date := (clock_timestamp() at time zone 'UTC')::date;
    wanted constant text[] := day_account(today)
        || array(select plan_account(p.plan_id) from plan p where p.tenant_id = tenant and p.plan_id = any (plans));
    idle uuid[];
begin
    idle := array(
        select t.task_id
          from plan p
          join budget b on b.tenant_id = p.tenant_id and b.account = plan_account(p.plan_id)
                       and (b.reserved_usd > 0 or b.reserved_tokens > 0)
          join wave w on w.tenant_id = p.tenant_id and w.plan_id = p.plan_id and w.state = 'in_flight'
          join task t on t.tenant_id = w.tenant_id and t.plan_id = w.plan_id and t.wave_no = w.wave_no
         where p.tenant_id = tenant and p.state in ('running', 'in_review') and p.paused_at is not null
           and t.state = 'queued' and t.reserved_for is not null
         order by t.task_id
           for update of t skip locked);
    insert into budget (tenant_id, account, plan_id)
    select tenant, a, case when a like 'plan:%' then substr(a, 6)::uuid end from unnest(wanted) a order by a
        on conflict do nothing;
    perform from budget b
      where b.tenant_id = tenant
        and (b.account = any (wanted)
             or b.account in (select unnest(array[day_account(t.reserved_on), plan_account(t.plan_id)])
                                from task t where t.tenant_id = tenant and t.task_id = any (idle)))
      order by b.account for update;
    if cardinality(idle) > 0 then
        with freed as (
            update task t set reserved_for = null, reserved_usd = null, reserved_tokens = null, reserved_on = null
              from task old
             where t.tenant_id = tenant and t.task_id = any (idle) and old.tenant_id = tenant and old.task_id = t.task_id
            returning old.reserved_on, old.plan_id, old.reserved_usd, old.reserved_tokens
        )
        update budget b
           set reserved_usd = b.reserved_usd - r.usd, reserved_tokens = b.reserved_tokens - r.tokens
          from (select a, sum(f.reserved_usd) as usd, sum(f.reserved_tokens) as tokens
                  from freed f, unnest(array[day_account(f.reserved_on), plan_account(f.plan_id)]) a
                 group by a) r
         where b.tenant_id = tenant and b.account = r.a;
    end if;
    update budget b
       set limit_usd = r.usd, limit_tokens = r.tokens
      from (select a, (rules #>> array['budget', split_part(a, ':', 1), 'cost_usd'])::numeric as usd,
                   (rules #>> array['budget', split_part(a, ':', 1), 'tokens'])::bigint as tokens
              from unnest(wanted) a) r
     where b.tenant_id = tenant and b.account = r.a and (b.limit_usd, b.limit_tokens) is distinct from (r.usd, r.tokens);
    return query select * from budget b where b.tenant_id = tenant and b.account = any (wanted);
end
$$;

-- Sets aside for queued tasks' next attempts, and has them run these skills: their own, or the cheaper one that the policy
-- has for it. A trigger refuses what a limit does not leave. After budget_accounts, which locks.
create function set_aside(task_ids uuid[], skills text[]) returns void language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    tenant constant text := current_tenant();
    rules constant jsonb := policy_now();
    today constant date := (clock_timestamp() at time zone 'UTC')::date;
    granted integer;
    plans integer;
    written integer;
begin
    with asked as (
        select t.task_id, t.attempt, r.skill, t.skill as planned, reserve.usd, reserve.tokens
          from unnest(task_ids, skills) as r (task_id, skill)
          join task t on t.tenant_id = tenant and t.task_id = r.task_id
         cross join lateral reserve_of(rules, r.skill) reserve
         where t.state = 'queued' and t.replan is null and t.over_budget is null
           and t.reserved_for is distinct from t.attempt + 1
           and (r.skill = t.skill
                or (rules #>> '{budget,at_limit}' = 'degrade'
                    and r.skill = coalesce(rules #>> array['skills', t.skill, 'degrade_to'], rules #>> '{defaults,degrade_to}')))
           and (coalesce(t.spent_usd, 0) + reserve.usd > (rules #>> '{budget,task,cost_usd}')::numeric
                or coalesce(t.spent_tokens, 0) + reserve.tokens::numeric > (rules #>> '{budget,task,tokens}')::numeric)
               is not true
    ), given as (
        update task t
           set reserved_for = a.attempt + 1, reserved_usd = a.usd, reserved_tokens = a.tokens, reserved_on = today,
               skill = a.skill,
               degraded_from = case when a.skill <> a.planned then coalesce(t.degraded_from, a.planned) else t.degraded_from end
          from asked a
         where t.tenant_id = tenant and t.task_id = a.task_id
        returning t.plan_id, t.reserved_usd as usd, t.reserved_tokens as tokens
    ), moved as (
        update budget b
           set reserved_usd = b.reserved_usd + r.usd, reserved_tokens = b.reserved_tokens + r.tokens
          from (select a, sum(g.usd) as usd, sum(g.tokens) as tokens
                  from given g, unnest(array[day_account(today), plan_account(g.plan_id)]) a
                 group by a) r
         where b.tenant_id = tenant and b.account = r.a
        returning b.account
    )
    select (select count(*) from given), (select count(distinct plan_id) from given), (select count(*) from moved)
      into granted, plans, written;
    if granted <> cardinality(task_ids) or written <> plans + (granted > 0)::int then
        raise exception 'only what the policy reserves is set aside, for tasks that wait for it' using errcode = 'check_violation';
    end if;
end
$$;

-- Marks queued tasks that do not fit under a limit, for the Judge to deny: what is spent, and what the policy sets aside for
-- them, are more than the limit and what people have allowed on top.
create function mark_over_budget(task_ids uuid[], limits text[]) returns void language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    tenant constant text := current_tenant();
    rules constant jsonb := policy_now();
    marked integer;
begin
    update task t
       set over_budget = r.over
      from unnest(task_ids, limits) as r (task_id, over)
      join task old on old.tenant_id = tenant and old.task_id = r.task_id
     cross join lateral reserve_of(rules, old.skill) reserve
      left join budget b on b.tenant_id = tenant and b.account = case r.over
            when 'budget.day' then day_account((clock_timestamp() at time zone 'UTC')::date)
            when 'budget.plan' then plan_account(old.plan_id) end
     where t.tenant_id = tenant and t.task_id = old.task_id and t.state = 'queued' and t.replan is null
       and t.over_budget is null
       and case when r.over = 'budget.task'
                then coalesce(t.spent_usd, 0) + reserve.usd > (rules #>> '{budget,task,cost_usd}')::numeric
                     or coalesce(t.spent_tokens, 0) + reserve.tokens::numeric > (rules #>> '{budget,task,tokens}')::numeric
                else b.spent_usd + reserve.usd > least(b.limit_usd + b.allowed_usd, 999999999.999999999)
                     or b.spent_tokens::numeric + reserve.tokens
                        > least(b.limit_tokens::numeric + b.allowed_tokens, 9223372036854775807) end;
    get diagnostics marked = row_count;
    if marked <> cardinality(task_ids) then
        raise exception 'only what does not fit under a limit is over it' using errcode = 'check_violation';
    end if;
end
$$;

-- What was set aside for a plan's attempts that are over becomes what they cost: what the result reports; all of it where
-- there is none, as nobody knows; nothing where they never began. Returns by how much more that is, of what is limited.
create function settle_budget(plan uuid, task_ids uuid[], out overrun_usd numeric, out overrun_tokens bigint)
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    tenant constant text := current_tenant();
    days date[];
begin
    days := array(
        select distinct t.reserved_on from task t
         where t.tenant_id = tenant and t.plan_id = plan and t.task_id = any (task_ids) and t.reserved_for is not null);
    if cardinality(days) = 0 then
        overrun_usd := 0;
        overrun_tokens := 0;
        return;
    end if;
    -- All days before the plan: the order in which accounts are locked.
    perform from budget b
      where b.tenant_id = tenant
        and (b.account = plan_account(plan) or b.account in (select day_account(d) from unnest(days) d))
      order by b.account for update;
    with over as (
        select t.task_id, t.reserved_on, t.reserved_usd, t.reserved_tokens,
               case when r.task_id is not null then least(coalesce(r.cost_usd, 0), 999999999.999999999)::numeric(18,9)
                    when t.attempt >= t.reserved_for then t.reserved_usd else 0 end as spent_usd,
               case when r.task_id is not null then coalesce(r.tokens, 0)
                    when t.attempt >= t.reserved_for then t.reserved_tokens else 0 end as spent_tokens
          from task t
          left join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.reserved_for
         where t.tenant_id = tenant and t.plan_id = plan and t.task_id = any (task_ids) and t.reserved_for is not null
           -- Over: not of one that runs, or is still to begin.
           and t.state <> 'running' and (t.state <> 'queued' or t.attempt >= t.reserved_for)
    ), settled as (
        update task t
           set reserved_for = null, reserved_usd = null, reserved_tokens = null, reserved_on = null,
               spent_usd = least(coalesce(t.spent_usd, 0) + o.spent_usd, 999999999.999999999),
               spent_tokens = least(coalesce(t.spent_tokens, 0) + o.spent_tokens::numeric, 9223372036854775807)::bigint
          from over o
         where t.tenant_id = tenant and t.task_id = o.task_id
        returning o.*
    ), spent as (
        update budget b
           set reserved_usd = b.reserved_usd - r.reserved_usd, reserved_tokens = b.reserved_tokens - r.reserved_tokens,
               spent_usd = least(b.spent_usd + r.spent_usd, 999999999.999999999),
               spent_tokens = least(b.spent_tokens + r.spent_tokens, 9223372036854775807)::bigint,
               overrun_usd = least(b.overrun_usd + r.over_usd, 999999999.999999999),
               overrun_tokens = least(b.overrun_tokens + r.over_tokens, 9223372036854775807)::bigint
          from (select a, sum(s.reserved_usd) as reserved_usd, sum(s.reserved_tokens) as reserved_tokens,
                       sum(s.spent_usd) as spent_usd, sum(s.spent_tokens) as spent_tokens,
                       sum(greatest(s.spent_usd - s.reserved_usd, 0)) as over_usd,
                       sum(greatest(s.spent_tokens - s.reserved_tokens, 0)) as over_tokens
                  from settled s, unnest(array[day_account(s.reserved_on), plan_account(plan)]) a
                 group by a) r
         where b.tenant_id = tenant and b.account = r.a
        returning b.account, b.limit_usd is not null as usd_limited, b.limit_tokens is not null as tokens_limited
    )
    select case when (select bool_or(usd_limited) from spent)
                then least(coalesce(sum(greatest(s.spent_usd - s.reserved_usd, 0)), 0), 999999999.999999999) else 0 end,
           case when (select bool_or(tokens_limited) from spent)
                then least(coalesce(sum(greatest(s.spent_tokens - s.reserved_tokens, 0)), 0), 9223372036854775807)::bigint
                else 0 end
      into overrun_usd, overrun_tokens
      from settled s;
end
$$;

-- A task's skill changes while its planner is asked about it, or with what is set aside for it.
drop trigger task_skill_stays on task;
create trigger task_skill_stays before update of skill, degraded_from on task for each row
    when ((new.skill, new.degraded_from) is distinct from (old.skill, old.degraded_from)
          and old.replan is distinct from 'asked' and current_user <> 'chimera_writer')
    execute function refuse_other_work();

revoke execute on function policy_now(), reserve_of(jsonb, text), day_account(date), plan_account(uuid) from public;
grant execute on function policy_now(), reserve_of(jsonb, text), day_account(date), plan_account(uuid) to chimera_writer;
grant select on policy, wave to chimera_writer;
grant select, insert (tenant_id, account, plan_id), update on budget to chimera_writer;
grant update (skill, degraded_from, over_budget, reserved_for, reserved_usd, reserved_tokens, reserved_on, spent_usd,
              spent_tokens) on task to chimera_writer;
select give_to_writer('budget_accounts(uuid[])', 'chimera_app', 'chimera_judge'),
       give_to_writer('set_aside(uuid[], text[])', 'chimera_app', 'chimera_judge'),
       give_to_writer('mark_over_budget(uuid[], text[])', 'chimera_app', 'chimera_judge'),
       give_to_writer('settle_budget(uuid, uuid[])', 'chimera_judge');
revoke insert, update on budget from chimera_app, chimera_judge;
revoke update (over_budget, reserved_for, reserved_usd, reserved_tokens, reserved_on) on task from chimera_app, chimera_judge;
revoke update (skill, degraded_from, spent_usd, spent_tokens) on task from chimera_judge;
