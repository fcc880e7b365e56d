-- Decisions are written by functions: where a task goes, the counts of its wave, the entry of the audit, the decision, the
-- commit and shared state. What one says of the other is made here, so that they agree; no login writes any of them.

-- Tasks to where their decisions send them, if they are still where the decisions found them: queued ones only where no
-- agent gets them any more, running ones only where their lease has run out. By plan and wave first: an index that holds
-- a wave together, and the planner needs no statistics to choose it. What waits for people only they move. Of those
-- whose last lease has run out it is kept who held it.
create function move_tasks(of_plan uuid, of_wave integer, ids uuid[], of_attempt smallint, was text, send_to text,
                           told text) returns setof uuid language plpgsql security definer
    set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    if not speaks_for(case was when 'in_review' then 'chimera_review' else 'chimera_judge' end) then
        raise exception 'tasks that are % are not for % to move', was, session_user using errcode = 'insufficient_privilege';
    end if;
    if was = 'running' then
        insert into lost_lease (tenant_id, task_id, attempt, agent_id, claimed_at)
        select t.tenant_id, t.task_id, t.attempt, t.agent_id, t.claimed_at
          from task t
         where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave and t.task_id = any (ids)
           and t.attempt = of_attempt and t.state = 'running' and t.lease_until < clock_timestamp()
           for update;
    end if;
    return query
    update task t
       set state = send_to, feedback = coalesce(told::json, t.feedback), lease_token = null, lease_until = null,
           lost = t.lost + (t.state = 'running')::int,
           finished_at = case when send_to not in ('queued', 'in_review') then clock_timestamp() end
     where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave
       and t.task_id = any (ids) and t.attempt = of_attempt and t.state = was
       and (t.state in ('staged', 'in_review') or (t.state = 'running' and t.lease_until < clock_timestamp())
            or (t.state = 'queued' and (t.over_budget is not null or t.replan in ('given_up', 'failed'))))
    returning t.task_id;
end
$$;

-- Staged tasks back to the queue by a ruling of the gate: to be done as they are, or as their planner says.
create function send_back_tasks(of_plan uuid, of_wave integer, ids uuid[], of_attempt smallint, told text)
    returns table (task_id uuid, asked boolean) language sql security definer
    set search_path = public, pg_temp
begin atomic
    update task t
       set state = 'queued', feedback = told::json, lease_token = null, lease_until = null,
           replans = t.replans + 1, replan_tries = 0, replan = case when p.has_replan then 'asked' end
      from plan p
     where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave
       and t.task_id = any (ids) and t.attempt = of_attempt and t.state = 'staged'
       and p.tenant_id = t.tenant_id and p.plan_id = t.plan_id
    returning t.task_id, t.replan is not null;
end;

-- Every open task of a wave to where its plan ends, which stops; returns where each was found.
create function stop_tasks(of_plan uuid, of_wave integer)
    returns table (task_id uuid, attempt smallint, found text, agent_id uuid) language sql security definer
    set search_path = public, pg_temp
begin atomic
    update task t
       set state = p.stop_state, lease_token = null, lease_until = null, finished_at = clock_timestamp()
      from plan p,
           (select o.task_id, o.state from task o
             where o.tenant_id = current_tenant() and o.plan_id = of_plan and o.wave_no = of_wave
               and o.state in ('queued', 'running', 'staged', 'in_review')
             order by o.task_id for update) old
     where t.tenant_id = current_tenant() and t.task_id = old.task_id
       and p.tenant_id = t.tenant_id and p.plan_id = of_plan and p.state = 'stopping'
    returning t.task_id, t.attempt, old.state,
              -- While it waits in the queue, its row names who had it last, who may have given it back.
              case when old.state <> 'queued' then t.agent_id else (
                  select r.agent_id from result r
                   where r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt) end;
end;

-- The leases of agents that do not live are over, unless one of the silent renewed one so lately that it must live.
create function end_leases(of_plan uuid, of_wave integer, gone uuid[], silent uuid[], quiet double precision)
    returns void language sql security definer
    set search_path = public, pg_temp
begin atomic
    update task t
       set lease_until = '-infinity'
     where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave and t.state = 'running'
       and (t.agent_id = any (gone)
            or (t.agent_id = any (silent) and t.lease_until < clock_timestamp() + make_interval(secs => quiet)));
end;

-- Tasks whose agent did not stage in time go back to the queue, while attempts are left. Who held them is kept: the next
-- claim writes over it.
create function take_back_leases(of_plan uuid, of_wave integer, grace double precision)
    returns table (task_id uuid, attempt smallint, agent_id uuid) language sql security definer
    set search_path = public, pg_temp
begin atomic
    with lost as (
        update task t
           set state = 'queued', lease_token = null, lease_until = null, lost = t.lost + 1
         where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave
           and t.state = 'running' and t.lease_until < clock_timestamp() - make_interval(secs => greatest(grace, 0))
           and t.attempt < t.max_attempts
        returning t.task_id, t.attempt, t.agent_id, t.claimed_at
    ), kept as (
        insert into lost_lease (tenant_id, task_id, attempt, agent_id, claimed_at)
        select current_tenant(), l.task_id, l.attempt, l.agent_id, l.claimed_at from lost l
    )
    select l.task_id, l.attempt, l.agent_id from lost l;
end;

-- Queued tasks of waves that nothing is set aside for, locked, which keeps no agent from the others.
create function asking_tasks(plans uuid[], wave_nos integer[])
    returns table (task_id uuid, plan_id uuid, wave_no integer, skill text, spent_usd numeric, spent_tokens bigint)
    language sql security definer
    set search_path = public, pg_temp
begin atomic
    select t.task_id, t.plan_id, t.wave_no, t.skill, coalesce(t.spent_usd, 0), coalesce(t.spent_tokens, 0)
      from unnest(plans, wave_nos) with ordinality as r (plan_id, wave_no, place)
      join task t on t.tenant_id = current_tenant() and t.plan_id = r.plan_id and t.wave_no = r.wave_no
     where t.state = 'queued' and t.replan is null and t.over_budget is null and t.reserved_for is distinct from t.attempt + 1
     order by r.place, t.ordinal
       for update of t skip locked;
end;

-- Shared state to its next version, where it is still at the version that the task saw and the task still open. The value is
-- the output that is staged, or what a person made of it: looked at where PostgreSQL's JSON operators take the text.
create function write_state(keys text[], vals text[], ids uuid[])
    returns table (task_id uuid, version bigint) language plpgsql security definer
    set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    if exists (
        select from unnest(vals, ids) as r (val, task_id)
          join task t on t.tenant_id = current_tenant() and t.task_id = r.task_id
          join result e on e.tenant_id = t.tenant_id and e.task_id = t.task_id and e.attempt = t.attempt
          left join review_card c on c.tenant_id = t.tenant_id and c.task_id = t.task_id and c.attempt = t.attempt
          left join revision v on v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision
         where case when coalesce(v.outcome, e.outcome)::text ~ '\\u(0000|[dD][89a-fA-F])' then false
                    else (coalesce(v.outcome, e.outcome) -> 'output')::jsonb is distinct from r.val::jsonb end) then
        raise exception 'shared state is what the result says' using errcode = 'check_violation';
    end if;
    return query
    insert into state as s (tenant_id, key, value, version, task_id, changed_at)
    select t.tenant_id, t.state_key, r.val::json, coalesce(t.state_version, 0) + 1, t.task_id, clock_timestamp()
      from unnest(keys, vals, ids) with ordinality as r (key, val, task_id, n)
      join task t on t.tenant_id = current_tenant() and t.task_id = r.task_id and t.state_key = r.key
     where t.state in ('staged', 'in_review')
     order by r.n
        on conflict (tenant_id, key) do update
           set value = excluded.value, version = excluded.version, task_id = excluded.task_id,
               changed_at = excluded.changed_at, erased_at = null
         where s.version = excluded.version - 1
    returning s.task_id, s.version;
end
$$;

-- The wave's counts, from its tasks; it closes when none of them is open. A task that goes back to the queue makes the wave
-- one that is to be sent again, now; one that waits for its planner, one that the sweep asks about when the message to the
-- planner was lost. Once all waves of the plan are closed, people are waited for, or it has ended: as it was stopped, else
-- one way where each of its tasks was approved or denied, the other where not. Returns the plan's new state.
create function count_wave(of_plan uuid, of_wave integer, again boolean, asked boolean, planner_seconds double precision)
    returns text language plpgsql security definer
    set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    now_is text;
begin
    update wave w
       set approved = c.approved, denied = c.denied, exhausted = c.exhausted, cancelled = c.cancelled, in_review = c.in_review,
           state = case when c.approved + c.denied + c.exhausted + c.cancelled + c.in_review = w.task_count
                        then 'closed' else 'in_flight' end,
           published_at = case when again then null else w.published_at end,
           touched_at = case when again then '-infinity' else clock_timestamp() end,
           replan_at = case when asked then clock_timestamp() + make_interval(secs => planner_seconds) else w.replan_at end
      from (select count(*) filter (where t.state = 'approved') as approved,
                   count(*) filter (where t.state = 'denied') as denied,
                   count(*) filter (where t.state = 'exhausted') as exhausted,
                   count(*) filter (where t.state in ('cancelled', 'expired')) as cancelled,
                   count(*) filter (where t.state = 'in_review') as in_review
              from task t
             where t.tenant_id = current_tenant() and t.plan_id = of_plan and t.wave_no = of_wave) c
     where w.tenant_id = current_tenant() and w.plan_id = of_plan and w.wave_no = of_wave
    returning w.state into now_is;
    if now_is is distinct from 'closed' then
        return null;
    end if;
    -- Of two waves that close at the same time the second sees the first.
    perform from plan p where p.tenant_id = current_tenant() and p.plan_id = of_plan for update;
    update plan p
       set state = s.state, finished_at = case when s.state <> 'in_review' then clock_timestamp() end
      from (select case when sum(w.in_review) > 0 then 'in_review'
                        else coalesce((select q.stop_state from plan q
                                        where q.tenant_id = current_tenant() and q.plan_id = of_plan),
                                      case when sum(w.exhausted + w.cancelled) > 0 then 'completed_with_failures'
                                           else 'completed' end) end as state
              from wave w
             where w.tenant_id = current_tenant() and w.plan_id = of_plan
            having bool_and(w.state = 'closed')) s
     where p.tenant_id = current_tenant() and p.plan_id = of_plan and p.state in ('running', 'in_review', 'stopping')
       and not (p.state = 'stopping' and s.state = 'in_review') and p.state <> s.state
    returning p.state into now_is;
    return case when found then now_is end;
end
$$;

-- Decisions on tasks that were moved for them, each with its entry in the audit, made of what is decided, and its commit. The
-- head is locked first: a stop of the plan and a policy are recorded in the same chain, and so either are seen here
-- or come after all that is written here. Returns why nothing was written, where that is so.
create function decide(
    of_plan uuid, of_wave integer, ids uuid[], attempts smallint[], verdicts text[], hashes bytea[], finals boolean[],
    reasons text[], policies text[], deciders text[], agents uuid[], keys text[], versions bigint[], stopping boolean,
    event_kinds text[], event_actors text[], event_tasks uuid[], event_payloads text[], out trace text, out refused text)
    language plpgsql security definer
    set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    tenant constant text := current_tenant();
    policy_is text;
    payloads text[];
    right_ones bigint;
    first bigint;
    moment timestamptz;
begin
    perform from audit_head h where h.tenant_id = tenant for update;
    select p.trace_id, case when p.stop_state is not null and not stopping then 'stopped' end into trace, refused
      from plan p where p.tenant_id = tenant and p.plan_id = of_plan;
    if not found then
        refused := 'stopped';
    end if;
    select p.version || coalesce('^' || f.version, '') into policy_is
      from (select y.tenant_id <> '*' as own, y.name || '@v' || y.number || '+' || left(encode(y.sha256, 'hex'), 8) as version
              from policy y where y.tenant_id in (tenant, '*') order by y.tenant_id = '*', y.number desc limit 1) p
      left join (select y.has_floor, y.name || '@v' || y.number || '+' || left(encode(y.sha256, 'hex'), 8) as version
                   from policy y where y.tenant_id = '*' order by y.number desc limit 1) f on p.own and f.has_floor;
    if refused is null and exists (select from unnest(policies, deciders) as r (version, who)
                                    where r.who like 'policy%' and r.version <> policy_is) then
        refused := 'policy';
    end if;
    if refused is not null then
        return;
    end if;
    select array_agg(
               '{' || coalesce('"agent_id":"ag_' || replace(r.agent::text, '-', '') || '",', '') || '"attempt":' || r.attempt
               || case when r.verdict = 'hitl' then ',"card_id":"' || replace(r.card_id::text, '-', '') || '"' else '' end
               || ',"committed":' || (r.verdict = 'approve') || ',"final":' || r.final
               || ',"policy_version":' || json_ascii(r.version)
               || ',"reasons":' || r.why
               || ',"result_sha256":"' || encode(r.sha256, 'hex') || '","state":"' || t.state || '"'
               || case when r.key is null then ''
                       else ',"state_key":' || json_ascii(r.key) || ',"state_version":' || r.of_state end
               || ',"verdict":"' || r.verdict || '"}' order by r.n),
           count(*) filter (where
               case r.verdict when 'approve' then r.final and t.state = 'approved'
                              when 'hitl' then not r.final and t.state = 'in_review' and r.card_id is not null
                              else r.final = (t.state <> 'queued')
                                   and t.state in ('queued', 'denied', 'exhausted', 'cancelled', 'expired') end
               and (r.agent is null or r.agent = t.agent_id
                    or r.agent = (select e.agent_id from result e where e.tenant_id = tenant and e.task_id = r.task_id
                                                                    and e.attempt = r.attempt))
               and case when r.verdict = 'approve'
                        then r.key is not distinct from t.state_key
                             and (r.key is null or r.of_state = coalesce(t.state_version, 0) + 1)
                        else r.key is null and r.of_state is null end
               and octet_length(r.why) = length(r.why) and json_typeof(r.why::json) = 'array')
      into payloads, right_ones
      from (select u.*, case when u.verdict = 'hitl' then (
                       select c.card_id from review_card c
                        where c.tenant_id = tenant and c.task_id = u.task_id and c.attempt = u.attempt) end as card_id
              from unnest(ids, attempts, verdicts, hashes, finals, reasons, policies, agents, keys, versions) with ordinality
                   as u (task_id, attempt, verdict, sha256, final, why, version, agent, key, of_state, n)) r
      join task t on t.tenant_id = tenant and t.task_id = r.task_id and t.plan_id = of_plan and t.wave_no = of_wave
                 and t.attempt = r.attempt;
    if right_ones <> cardinality(ids) then
        raise exception 'a decision is what became of its task' using errcode = 'check_violation';
    end if;
    select a.before, a.moment into first, moment
      from chain_audit(array_fill('task.decided'::text, array[cardinality(ids)]), deciders,
                       array_fill(of_plan, array[cardinality(ids)]), ids, payloads) a;
    insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, decided_by,
                          decided_at, audit_seq)
    select tenant, r.task_id, r.attempt, r.verdict, r.sha256, r.final, r.why::json, r.version, r.who, moment, first + r.n
      from unnest(ids, attempts, verdicts, hashes, finals, reasons, policies, deciders) with ordinality
           as r (task_id, attempt, verdict, sha256, final, why, version, who, n);
    insert into commit (tenant_id, task_id, attempt, result_sha256, state_key, state_version, committed_at)
    select tenant, r.task_id, r.attempt, r.sha256, r.key, r.of_state, moment
      from unnest(ids, attempts, verdicts, hashes, keys, versions) as r (task_id, attempt, verdict, sha256, key, of_state)
     where r.verdict = 'approve';
    if cardinality(event_kinds) > 0 then
        perform append_audit(event_kinds, event_actors, array_fill(of_plan, array[cardinality(event_kinds)]), event_tasks,
                             event_payloads);
    end if;
end
$$;

-- A task that was decided on has its decision, once the transaction is complete. (An approved one has its commit, which
-- has it: approval_needs_commit.)
create function task_needs_decision() returns trigger language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan set search_path = public, pg_temp as $$
begin
    if (select 1 from decision d where d.task_id = new.task_id and d.tenant_id = new.tenant_id and d.attempt = new.attempt
                                   and d.verdict = case new.state when 'in_review' then 'hitl' else 'deny' end limit 1) is null
    then perform refuse_dangling('a task that was decided on needs its decision'); end if;
    return null;
end
$$;
create constraint trigger task_needs_decision after update of state on task deferrable initially deferred
    for each row when (new.state <> old.state and new.state <> 'approved'
                       and (old.state in ('staged', 'in_review')
                            or new.state in ('in_review', 'denied', 'exhausted', 'cancelled', 'expired')))
    execute function task_needs_decision();

grant select, insert on commit to chimera_writer;
grant insert on decision to chimera_writer;
grant insert, update on state to chimera_writer;
grant insert (tenant_id, task_id, attempt, agent_id, claimed_at) on lost_lease to chimera_writer;
grant update (state, feedback, lease_token, lease_until, lost, finished_at, replan, replans, replan_tries) on task to chimera_writer;
grant update (approved, denied, exhausted, cancelled, in_review, state, published_at, touched_at, replan_at) on wave
    to chimera_writer;
grant update (state, finished_at) on plan to chimera_writer;
select give_to_writer('move_tasks(uuid, integer, uuid[], smallint, text, text, text)', 'chimera_judge', 'chimera_review'),
       give_to_writer('send_back_tasks(uuid, integer, uuid[], smallint, text)', 'chimera_judge'),
       give_to_writer('stop_tasks(uuid, integer)', 'chimera_judge'),
       give_to_writer('end_leases(uuid, integer, uuid[], uuid[], double precision)', 'chimera_judge'),
       give_to_writer('take_back_leases(uuid, integer, double precision)', 'chimera_judge'),
       give_to_writer('asking_tasks(uuid[], integer[])', 'chimera_app', 'chimera_judge'),
       give_to_writer('write_state(text[], text[], uuid[])', 'chimera_judge', 'chimera_review'),
       give_to_writer('count_wave(uuid, integer, boolean, boolean, double precision)', 'chimera_judge', 'chimera_review'),
       give_to_writer('decide(uuid, integer, uuid[], smallint[], text[], bytea[], boolean[], text[], text[], text[], uuid[], '
                      'text[], bigint[], boolean, text[], text[], uuid[], text[])', 'chimera_judge', 'chimera_review');

revoke insert on decision, commit, lost_lease from chimera_judge;
revoke insert, update on state from chimera_judge;
revoke update on task, wave from chimera_judge;
-- To send waves, to ask about them, and to lock them.
grant update (state, published_at, publish_count, touched_at, epoch, budget_waits, skill_waits_since, replan_at, asked_by,
              asked_until) on wave to chimera_judge;
