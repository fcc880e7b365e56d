-- name: place
-- Where a task stands.
select plan_id, wave_no, ordinal from task where tenant_id = %(tenant)s and task_id = %(task)s

-- name: tasks
-- Tasks, those of the latest plan first, wave by wave: each plan's by its own index, and no more of them than are asked for.
select t.tenant_id, t.plan_id, t.task_id, t.parent_task_id, t.wave_no, t.ordinal, t.skill, t.state, t.attempt, t.max_attempts,
       t.created_at, t.started_at, t.finished_at
  from plan p
 cross join lateral (
       select * from task
        where task.tenant_id = p.tenant_id and task.plan_id = p.plan_id
          and (%(state)s::text is null or task.state = %(state)s)
          and (%(skill)s::text is null or task.skill = %(skill)s)
          and (%(after_plan)s::uuid is null or p.plan_id < %(after_plan)s
               or (task.wave_no, task.ordinal) > (%(after_wave)s::int, %(after_ordinal)s::int))
        order by task.wave_no, task.ordinal
        limit %(limit)s) t
 where p.tenant_id = %(tenant)s
   and (%(plan)s::uuid is null or p.plan_id = %(plan)s)
   and (%(after_plan)s::uuid is null or p.plan_id <= %(after_plan)s)
 order by p.plan_id desc, t.wave_no, t.ordinal
 limit %(limit)s

-- name: history
-- A task as it stands, and which tasks try it again.
select t.tenant_id, t.plan_id, t.task_id, t.parent_task_id, t.wave_no, t.ordinal, t.skill, t.state, t.attempt, t.max_attempts,
       t.created_at, t.started_at, t.finished_at, p.trace_id, p.session_id, coalesce(t.depends_on, '{}') as depends_on,
       t.state_key, t.state_version, t.agent_id, t.lost, t.replans, t.over_budget, t.degraded_from,
       t.erased_at is not null as erased,
       array(select c.task_id from task c where c.tenant_id = t.tenant_id and c.parent_task_id = t.task_id order by c.task_id)
           as retried_as
  from task t
  join plan p on p.tenant_id = t.tenant_id and p.plan_id = t.plan_id
 where t.tenant_id = %(tenant)s and t.task_id = %(task)s

-- name: attempts
-- Its attempts, each with what it ran and what came of it: a result, or a loss. That of the latest without either is the
-- task's own agent.
select n.attempt, coalesce((select e.skill from replanned e
                             where e.tenant_id = t.tenant_id and e.task_id = t.task_id and e.attempt >= n.attempt
                             order by e.attempt limit 1), t.skill) as skill,
       coalesce(r.agent_id, l.agent_id, case when n.attempt = t.attempt then t.agent_id end) as agent_id,
       coalesce(case when n.attempt = 1 then t.started_at end, r.claimed_at, l.claimed_at,
                case when n.attempt = t.attempt and r.task_id is null and l.task_id is null then t.claimed_at end) as taken_at,
       l.lost_at,
       r.outcome, r.tokens, r.cost_usd, encode(r.sha256, 'hex') as result_sha256, r.started_at, r.finished_at
  from task t
 cross join lateral generate_series(1, t.attempt) as n (attempt)
  left join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = n.attempt
  left join lost_lease l on l.tenant_id = t.tenant_id and l.task_id = t.task_id and l.attempt = n.attempt
 where t.tenant_id = %(tenant)s and t.task_id = %(task)s
 order by n.attempt

-- name: late_results
-- Its results that came too late.
select attempt, agent_id, encode(result_sha256, 'hex') as result_sha256, refused_at
  from stale_result where tenant_id = %(tenant)s and task_id = %(task)s order by refused_at

-- name: decisions
-- The decisions on it, in the order of the audit, with what is on record of a person's.
select d.attempt, d.verdict, d.final, d.reasons, d.policy_version, d.decided_by, d.decided_at, d.audit_seq,
       nullif(encode(d.result_sha256, 'hex'), '') as result_sha256,
       (select a.payload from audit a
         where a.tenant_id = d.tenant_id and a.at = d.decided_at and a.task_id = d.task_id and a.kind = 'review.decided'
         order by a.seq desc limit 1) as payload
  from decision d where d.tenant_id = %(tenant)s and d.task_id = %(task)s order by d.audit_seq

-- name: cards
-- Its review cards.
select card_id, attempt, status, approvals_needed, opened_at, decided_by, decided_at
  from review_card where tenant_id = %(tenant)s and task_id = %(task)s order by attempt

-- name: edits
-- What people put in the place of its results.
select card_id, number as revision, edited_by, edited_at, reasons
  from revision where tenant_id = %(tenant)s and task_id = %(task)s order by card_id, number

-- name: approvals
-- Who approved what its cards showed, whatever version that was, with what is on record of it.
select r.card_id, r.approved_by, r.approved_at,
       (select a.payload from audit a where a.tenant_id = r.tenant_id and a.seq = r.audit_seq and a.at = r.approved_at) as payload
  from review_approval r
 where r.tenant_id = %(tenant)s and r.card_id = any (%(cards)b::uuid[]) order by r.approved_at, r.approved_by

-- name: commit
-- The commit of its result.
select attempt, encode(result_sha256, 'hex') as result_sha256, committed_at, state_key, state_version
  from commit where tenant_id = %(tenant)s and task_id = %(task)s
