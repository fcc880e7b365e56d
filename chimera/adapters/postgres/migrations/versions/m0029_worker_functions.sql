-- Workers claim and stage through functions: a login of theirs reads and writes no table of tasks or results. What names
-- who holds a lease, its token, leaves the database only for the one who claimed.
-- What every batch and wave calls is planned once a connection: rows are found by their keys whatever the values are, and to
-- plan it each time took as long as to run it.

-- The lease of those tasks that are free, one attempt each: a fence that every later write must name.
-- Rows that another process has locked are being claimed or closed by it: they are left alone. What was lost
-- with its agent before may be what ends agents: it runs alone, so that it takes no other task with it. So does what
-- was tried before and has one attempt left: a neighbour must not take that. What waits for its planner is nobody's. Value
-- and version of shared state are of one snapshot, the statement's. Where this login's processes may not run the
-- tenant's code, no task is free.
create function claim_tasks(of_plan uuid, of_wave integer, ids uuid[], by_agent uuid, token uuid, seconds double precision,
                            skills text[])
    returns table (trace_id text, task_id uuid, ordinal integer, skill text, input text, attempt smallint,
                   max_attempts smallint, timeout_seconds real, feedback text, state_key text, state_version bigint,
                   state_value text, unmet_dependencies uuid[])
    language plpgsql security definer set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
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
create function give_back_tasks(of_plan uuid, of_wave integer, ids uuid[], skills text[]) returns setof text
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

-- More time for the tasks that are still held with this token, while their plan goes on; for each, whether another of
-- them may be started.
create function renew_leases(of_plan uuid, of_wave integer, token uuid, seconds double precision) returns setof boolean
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return query
    update task t
       set lease_until = clock_timestamp() + make_interval(secs => least(seconds, 3600))
      from plan p
     where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave
       and t.lease_token = token and t.state = 'running'
       and p.tenant_id = t.tenant_id and p.plan_id = t.plan_id and p.state in ('running', 'in_review')
       and (p.deadline is null or p.deadline > clock_timestamp())
    returning p.paused_at is null;
end
$$;

-- Tasks that were claimed and not started go back to the queue, their attempt unused.
create function release_tasks(of_plan uuid, of_wave integer, ids uuid[], token uuid) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update task
       set state = 'queued', attempt = attempt - 1, lease_token = null, lease_until = null, claimed_at = null,
           started_at = case when attempt > 1 then started_at end
     where tenant_id = current_tenant() and plan_id = of_plan and wave_no = of_wave
       and task_id = any (ids) and lease_token = token and state = 'running';
end
$$;

-- The results of tasks whose lease this agent still has. What comes too late finds no row: it is put on record, unless
-- it is here already because the answer to its first staging was lost, or nobody of that name ever had that attempt.
-- Returns what is stored.
create function stage_results(of_plan uuid, of_wave integer, by_agent uuid, token uuid, ids uuid[], attempts smallint[],
                              outcomes text[], hashes bytea[], tokens bigint[], costs numeric[], started timestamptz[],
                              finished timestamptz[], fingerprints bytea[])
    returns setof uuid language plpgsql security definer set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    tenant constant text := current_tenant();
begin
    -- By the worker's clock; a day from the database's it is no clock that is a little wrong.
    if exists (select from unnest(started, finished) as r (started_at, finished_at)
                where r.started_at < clock_timestamp() - interval '2 days'
                   or r.finished_at > clock_timestamp() + interval '1 day') then
        raise exception 'a result was made at another time than now' using errcode = 'check_violation';
    end if;
    return query
    with given as (
        select *
          from unnest(ids, attempts, outcomes, hashes, tokens, costs, started, finished, fingerprints)
               as r (task_id, attempt, outcome, sha256, tokens, cost_usd, started_at, finished_at, fingerprint)
    ), mine as (
        update task t
           set state = 'staged', lease_token = null, lease_until = null
         where t.tenant_id = tenant and t.plan_id = of_plan and t.wave_no = of_wave
           and t.task_id = any (ids) and t.lease_token = token and t.agent_id = by_agent and t.state = 'running'
           and (t.task_id, t.attempt) in (select g.task_id, g.attempt from given g)
        returning t.task_id, t.attempt, t.claimed_at
    ), stored as (
        insert into result as x (tenant_id, task_id, attempt, agent_id, outcome, sha256, tokens, cost_usd, started_at,
                                 finished_at, claimed_at, fingerprint, outcome_bytes)
        select tenant, r.task_id, r.attempt, by_agent, r.outcome::json, r.sha256, r.tokens, r.cost_usd, r.started_at,
               r.finished_at, m.claimed_at, r.fingerprint, octet_length(r.outcome)
          from given r
          join mine m on m.task_id = r.task_id and m.attempt = r.attempt
        returning x.task_id
    ), earlier as (
        select r.task_id
          from given r
          join result e on e.tenant_id = tenant and e.task_id = r.task_id and e.attempt = r.attempt and e.sha256 = r.sha256
         where e.task_id = any (ids) and r.task_id not in (select s.task_id from stored s)
    ), stale as (
        insert into stale_result (tenant_id, plan_id, task_id, attempt, agent_id, lease_token, result_sha256)
        select tenant, of_plan, r.task_id, r.attempt, by_agent, token, r.sha256
          from given r
          join task t on t.tenant_id = tenant and t.task_id = r.task_id and t.plan_id = of_plan and t.wave_no = of_wave
         where r.task_id not in (select s.task_id from stored s union all select e.task_id from earlier e)
           and ((t.attempt = r.attempt and t.agent_id = by_agent)
                or exists (select from lost_lease l where l.tenant_id = tenant and l.task_id = r.task_id
                                                      and l.attempt = r.attempt and l.agent_id = by_agent)
                or exists (select from result o where o.tenant_id = tenant and o.task_id = r.task_id
                                                  and o.attempt = r.attempt and o.agent_id = by_agent))
            on conflict do nothing
    )
    select s.task_id from stored s union all select e.task_id from earlier e;
end
$$;

grant update (skill_waits_since) on wave to chimera_writer;
grant update (state, attempt, agent_id, lease_token, lease_until, state_version, started_at, claimed_at)
    on task to chimera_writer;
grant select on state, lost_lease to chimera_writer;
grant insert on result to chimera_writer;
grant select (tenant_id, task_id, lease_token), insert on stale_result to chimera_writer;

select give_to_writer('claim_tasks(uuid, integer, uuid[], uuid, uuid, double precision, text[])', 'chimera_worker'),
       give_to_writer('give_back_tasks(uuid, integer, uuid[], text[])', 'chimera_worker'),
       give_to_writer('renew_leases(uuid, integer, uuid, double precision)', 'chimera_worker'),
       give_to_writer('release_tasks(uuid, integer, uuid[], uuid)', 'chimera_worker'),
       give_to_writer('stage_results(uuid, integer, uuid, uuid, uuid[], smallint[], text[], bytea[], bigint[], numeric[], '
                      'timestamptz[], timestamptz[], bytea[])', 'chimera_worker');

drop policy task_by_worker on task;
revoke all on plan, wave, task, state, policy, result, stale_result from chimera_worker;
