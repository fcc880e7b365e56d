-- Tenants whose code no process runs that holds everybody's logins: of a default's floor; '*' is all. Those that are there
-- name none.
alter table policy add column isolated text[] not null default '{}';

-- Whether the default in force names this tenant.
create function is_isolated() returns boolean language sql stable security definer set search_path = public, pg_temp
begin atomic
    select coalesce((select p.isolated && array['*', current_tenant()] from policy p
                      where p.tenant_id = '*' order by p.number desc limit 1), false);
end;
grant select (isolated) on policy to chimera_writer;
select give_to_writer('is_isolated()', 'chimera_app', 'chimera_judge');

-- Whether the process that asks may run this tenant's skills and planners: it has said in this transaction that it runs
-- them in hosts, as `adapters/postgres/database.py` does, or has logins that are the tenant's alone. One that says
-- nothing, as those of earlier releases do, runs them itself.
create function may_run_code() returns boolean language sql stable set search_path = public, pg_temp
    return is_bound() or coalesce(current_setting('chimera.isolation', true), '') = 'host' or not is_isolated();

-- The lease of those tasks that are free, one attempt each: a fence that every later write must name.
-- Rows that another process has locked are being claimed or closed by it: they are left alone. What was lost
-- with its agent before may be what ends agents: it runs alone, so that it takes no other task with it. So does what
-- was tried before and has one attempt left: a neighbour must not take that. What waits for its planner is nobody's. Value
-- and version of shared state are of one snapshot, the statement's. Where this login's processes may not run the
-- tenant's code, no task is free.
create or replace function claim_tasks(of_plan uuid, of_wave integer, ids uuid[], by_agent uuid, token uuid, seconds double precision,
                            skills text[])
    returns table (trace_id text, task_id uuid, ordinal integer, skill text, input text, attempt smallint,
                   max_attempts smallint, timeout_seconds real, feedback text, state_key text, state_version bigint,
                   state_value text, unmet_dependencies uuid[])
    language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    tenant constant text := current_tenant();
begin
    if not may_run_code() then
        return;
    end if;
    return query
    with free as (
        select t.task_id
          from task t
         where t.tenant_id = tenant and t.task_id = any (ids) and t.plan_id = of_plan and t.wave_no = of_wave
           and t.attempt < t.max_attempts and t.state = 'queued' and t.replan is null and t.skill = any (skills)
           -- Where the tenant has a budget: only what something is set aside for. Looked at once, not for each task.
           and t.over_budget is null
           and (t.reserved_for = t.attempt + 1
                or not coalesce((select y.budgeted from policy y where y.tenant_id in (tenant, '*')
                                  order by y.tenant_id = '*', y.number desc limit 1), false))
           and (cardinality(ids) = 1 or (t.lost = 0 and (t.attempt = 0 or t.attempt < t.max_attempts - 1)))
           and exists (select from plan p
                        where p.tenant_id = t.tenant_id and p.plan_id = t.plan_id and p.state in ('running', 'in_review')
                          and p.paused_at is null
                          and (p.deadline is null or p.deadline > clock_timestamp()))
           and (t.depends_on is null or not exists (
                select from task d
                 where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on)
                   and d.state in ('queued', 'running', 'staged', 'in_review')))
           for update of t skip locked
    )
    update task t
       set state = 'running', attempt = t.attempt + 1, agent_id = by_agent, lease_token = token,
           -- An hour at the most, whatever is asked for.
           lease_until = clock_timestamp() + make_interval(secs => least(seconds, 3600)),
           started_at = coalesce(t.started_at, clock_timestamp()), claimed_at = clock_timestamp(),
           state_version = case when t.state_key is not null then coalesce(
               (select s.version from state s where s.tenant_id = t.tenant_id and s.key = t.state_key), 0) end
      from free
     where t.tenant_id = tenant and t.task_id = free.task_id
    returning (select p.trace_id from plan p where p.tenant_id = tenant and p.plan_id = of_plan),
              t.task_id, t.ordinal, t.skill, t.input::text, t.attempt, t.max_attempts, t.timeout_seconds,
              t.feedback::text, t.state_key, t.state_version,
              case when t.state_key is not null then
                  (select s.value::text from state s where s.tenant_id = t.tenant_id and s.key = t.state_key)
              end,
              case when t.depends_on is not null then array(
                  select d.task_id from task d
                   where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on) and d.state <> 'approved')
              end;
end
$$;

-- The skills that these tasks wait for, of those that are not among these, or all where this login's processes may not run
-- them: the wave waits for them then, which is written once, however many of its messages are given back.
create or replace function give_back_tasks(of_plan uuid, of_wave integer, ids uuid[], skills text[]) returns setof text
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    barred constant boolean := not may_run_code();
    lacking constant text[] := array(
        select distinct t.skill
          from task t
         where t.tenant_id = current_tenant() and t.task_id = any (ids) and t.plan_id = of_plan and t.wave_no = of_wave
           and t.state = 'queued' and t.replan is null and t.over_budget is null
           and (barred or not t.skill = any (skills)));
begin
    if cardinality(lacking) > 0 then
        update wave
           set skill_waits_since = clock_timestamp()
         where tenant_id = current_tenant() and plan_id = of_plan and wave_no = of_wave
           and state = 'in_flight' and skill_waits_since is null;
    end if;
    return query select unnest(lacking);
end
$$;
