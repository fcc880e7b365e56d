-- name: staged
-- What the wave has staged: the first result, and more up to so many bytes of inputs and outcomes. A result from before
-- results named the version of their skill has the one that was declared last of those that were there when it was made.
select task_id, skill, input::text as input, attempt, agent_id, max_attempts, replans, state_key, state_version,
       outcome::text as outcome, sha256, tokens, cost_usd, fingerprint, bytes, all_bytes
  from (select t.task_id, t.skill, t.input, t.attempt, t.agent_id, t.max_attempts, t.replans, t.state_key, t.state_version,
               t.ordinal, r.outcome, r.sha256, r.tokens, r.cost_usd, size.bytes,
               sum(size.bytes) over (order by t.ordinal) as bytes_so_far, sum(size.bytes) over () as all_bytes,
               coalesce(r.fingerprint, (
                   select s.fingerprint from skill s where s.name = t.skill and s.first_seen <= r.finished_at
                    order by s.last_seen desc, s.fingerprint limit 1)) as fingerprint
          from task t
          join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt
         cross join lateral (
               select coalesce(t.input_bytes, octet_length(t.input::text))
                      + coalesce(r.outcome_bytes, octet_length(r.outcome::text), 0) as bytes) size
         where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s and t.state = 'staged') waiting
 where %(most_bytes)s::bigint is null or bytes_so_far <= %(most_bytes)s or bytes_so_far = bytes
 order by ordinal

-- name: reserve_wave
-- The wave is a Judge's, for large results and for asking a model, where no other has it.
update wave set asked_by = %(token)s, asked_until = clock_timestamp() + make_interval(secs => %(seconds)s),
                touched_at = clock_timestamp()
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and (asked_by = %(token)s or asked_until is null or asked_until < clock_timestamp())
returning wave_no

-- name: without_result
-- Its tasks whose last lease ran out, and will not be renewed any more; and queued ones that do not fit under
-- a budget's limit, which is named.
select task_id, attempt, over_budget as limit,
       case when state = 'running' then agent_id else (
           select r.agent_id from result r
            where r.tenant_id = task.tenant_id and r.task_id = task.task_id and r.attempt = task.attempt) end as agent_id
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and ((state = 'running' and attempt >= max_attempts and lease_until < clock_timestamp() - make_interval(secs => %(lease_grace_seconds)s))
        or (state = 'queued' and over_budget is not null))

-- name: given_up
-- Its tasks that their planner gave up.
select task_id, attempt, coalesce(feedback, '[]') as reasons, case when replan = 'failed' then replan_failure end as failure,
       (select r.agent_id from result r
         where r.tenant_id = task.tenant_id and r.task_id = task.task_id and r.attempt = task.attempt) as agent_id
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s and state = 'queued'
   and replan in ('given_up', 'failed')

-- name: plan
-- Whether the planner is asked about what the gate sends back, and the trace of the plan's request.
select has_replan, trace_id from plan where tenant_id = %(tenant)s and plan_id = %(plan)s

-- name: open_waves
-- The waves of a stopping plan with an open task or card.
select w.wave_no
  from wave w
  join plan p using (tenant_id, plan_id)
 where w.tenant_id = %(tenant)s and w.plan_id = %(plan)s and p.state = 'stopping' and (w.state <> 'closed' or w.in_review > 0)
 order by w.wave_no
