-- name: insert_plan
-- A plan.
insert into plan (tenant_id, plan_id, session_id, planner, goal, inputs, priority, deadline, idempotency_key,
                  request_sha256, trace_id, first_audit_seq, submitted_at, paused_at, paused_by)
values (%(tenant)s, %(plan)s, %(session_id)s, %(planner)s, %(goal)s, %(inputs)s::json, %(priority)s, %(deadline)s,
        %(idempotency_key)s, %(request_sha256)s, %(trace_id)s, %(first_audit_seq)s, clock_timestamp(),
        case when %(paused_by)s::text is not null then clock_timestamp() end, %(paused_by)s)

-- name: plan_of_key
-- The plan that holds an idempotency key.
select plan_id, request_sha256 from plan where tenant_id = %(tenant)s and idempotency_key = %(idempotency_key)s

-- name: begin_planning
-- The plan's lease, unless somebody holds it, the plan is paused or past planning, its planner is none of these, or this
-- process may not run it.
update plan
   set state = 'planning', lease_token = %(token)s, planner_attempt = planner_attempt + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and plan_id = %(plan)s
   and (state = 'submitted' or (state = 'planning' and lease_until < clock_timestamp()))
   and (deadline is null or deadline > clock_timestamp()) and paused_at is null and planner = any (%(planners)s::text[])
   and may_run_code()
returning planner, goal, inputs::text as inputs, priority, planner_attempt as attempt, trace_id

-- name: renew_planning
-- More time for the planner that holds the plan's lease.
update plan
   set lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and plan_id = %(plan)s and state = 'planning' and lease_token = %(token)s
returning plan_id

-- name: end_planning
-- What the plan becomes after planning, for the one that holds its lease.
update plan
   set state = %(state)s, task_count = %(task_count)s, failure = %(failure)s::json,
       has_replan = %(has_replan)s, lease_token = null, lease_until = null,
       finished_at = case when %(state)s = 'running' then null else clock_timestamp() end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and state = 'planning' and lease_token = %(token)s
returning priority

-- name: insert_tasks
-- Tasks of a plan. Their dependencies, which few have, travel as the text of an array.
insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, skill, input, label, priority, timeout_seconds,
                  max_attempts, depends_on, state_key, input_bytes)
select %(tenant)s, %(plan)s, r.wave_no, r.ordinal, r.task_id, r.skill, r.input::json, r.label::json, %(priority)s,
       r.timeout_seconds, r.max_attempts, r.depends_on::uuid[], r.state_key, octet_length(r.input)
  from unnest(%(wave_nos)b::int[], %(ordinals)b::int[], %(task_ids)b::uuid[], %(skills)b::text[], %(inputs)b::text[],
              %(labels)b::text[], %(timeouts)b::real[], %(max_attempts)b::smallint[], %(depends_on)b::text[],
              %(state_keys)b::text[])
       as r (wave_no, ordinal, task_id, skill, input, label, timeout_seconds, max_attempts, depends_on, state_key)

-- name: plans
-- Plans with the counts of their tasks, newest first; one, or those in a state or of a session, or all. The pause of a
-- plan that has ended meanwhile is over.
select p.tenant_id, p.plan_id, p.planner, p.goal, p.state, p.priority, p.trace_id, p.session_id, p.idempotency_key,
       p.deadline, p.failure, p.first_audit_seq, p.submitted_at, p.finished_at, p.retry_of, p.erased_at, p.task_count as tasks,
       case when p.state in ('submitted', 'planning', 'running', 'in_review') then p.paused_at end as paused_at,
       case when p.state in ('submitted', 'planning', 'running', 'in_review') then p.paused_by end as paused_by,
       coalesce(w.committed, 0) as committed, coalesce(w.in_review, 0) as in_review, coalesce(w.denied, 0) as denied,
       coalesce(w.failed, 0) as failed, coalesce(w.cancelled, 0) as cancelled
  from plan p
  left join lateral (
       select sum(approved)::int as committed, sum(in_review)::int as in_review, sum(denied)::int as denied,
              sum(exhausted)::int as failed, sum(cancelled)::int as cancelled
         from wave
        where wave.tenant_id = p.tenant_id and wave.plan_id = p.plan_id) w on true
 where p.tenant_id = %(tenant)s
   and (%(plan)s::uuid is null or p.plan_id = %(plan)s)
   and (%(state)s::text is null or p.state = %(state)s)
   and (%(session_id)s::text is null or p.session_id = %(session_id)s)
 order by p.plan_id desc
 limit %(limit)s

-- name: results
-- Tasks of a plan, wave by wave and within a wave in the planner's order, with the latest result of each; where a
-- person's version of it was committed, that.
select t.task_id, t.wave_no, t.ordinal, t.skill, t.state, t.attempt, t.label, t.erased_at is not null as erased,
       coalesce((select v.outcome
                   from commit c
                   join revision v on v.tenant_id = c.tenant_id and v.task_id = c.task_id and v.attempt = c.attempt
                                  and v.sha256 = c.result_sha256
                  where c.tenant_id = t.tenant_id and c.task_id = t.task_id and c.result_sha256 <> r.sha256
                  limit 1), r.outcome) as outcome
  from task t
  left join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt
 where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and (t.wave_no, t.ordinal) > (%(wave_no)s, %(ordinal)s)
 order by t.wave_no, t.ordinal
 limit %(limit)s

-- name: erased
-- Of these plans and tasks, those whose contents were erased.
select plan_id as id from plan where tenant_id = %(tenant)s and plan_id = any (%(ids)b::uuid[]) and erased_at is not null
union all
select task_id from task where tenant_id = %(tenant)s and task_id = any (%(ids)b::uuid[]) and erased_at is not null

-- name: entries
-- A tenant's first entries after a sequence that are all of what is given.
select tenant_id, seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, plan_id, task_id, body, payload, hash
  from audit
 where tenant_id = %(tenant)s and seq > %(after)s
   and (%(since)s::timestamptz is null or at >= %(since)s) and (%(until)s::timestamptz is null or at < %(until)s)
   and (%(actor)s::text is null or actor = %(actor)s)
   and (%(plan)s::uuid is null or plan_id = %(plan)s) and (%(task)s::uuid is null or task_id = %(task)s)
   and (%(kinds)s::text[] is null or kind = any (%(kinds)s::text[]))
   -- Texts in which the rule's name does not stand are not parsed.
   and (%(rule)s::text is null or (strpos(coalesce(payload, body), %(rule_text)s) > 0 and exists (
        select from json_array_elements(coalesce(payload::json, body::json -> 'facts') -> 'reasons') r
         where r ->> 'rule' = %(rule)s or starts_with(r ->> 'rule', %(rule)s || '.'))))
 order by seq
 limit %(limit)s

-- name: last_entries
-- A tenant's latest entries that are all of what is given.
select tenant_id, seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, plan_id, task_id, body, payload, hash
  from audit
 where tenant_id = %(tenant)s
   and (%(since)s::timestamptz is null or at >= %(since)s) and (%(until)s::timestamptz is null or at < %(until)s)
   and (%(actor)s::text is null or actor = %(actor)s)
   and (%(plan)s::uuid is null or plan_id = %(plan)s) and (%(task)s::uuid is null or task_id = %(task)s)
   and (%(kinds)s::text[] is null or kind = any (%(kinds)s::text[]))
   -- Texts in which the rule's name does not stand are not parsed.
   and (%(rule)s::text is null or (strpos(coalesce(payload, body), %(rule_text)s) > 0 and exists (
        select from json_array_elements(coalesce(payload::json, body::json -> 'facts') -> 'reasons') r
         where r ->> 'rule' = %(rule)s or starts_with(r ->> 'rule', %(rule)s || '.'))))
 order by seq desc
 limit %(limit)s
