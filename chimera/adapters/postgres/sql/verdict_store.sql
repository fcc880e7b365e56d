-- name: counts
-- How the gate ruled on results, by skill and verdict; a planner may have given the task to another skill since.
select coalesce(o.skill, t.skill) as skill, d.verdict, count(*) as results
  from decision d
  join task t on t.tenant_id = d.tenant_id and t.task_id = d.task_id
  left join lateral (select skill from replanned
                      where tenant_id = d.tenant_id and task_id = d.task_id and attempt >= d.attempt
                      order by attempt limit 1) o on true
 where d.tenant_id = %(tenant)s and d.result_sha256 <> '' and (d.decided_by = 'policy' or d.decided_by like 'policy and %%')
   and (%(skill)s::text is null or coalesce(o.skill, t.skill) = %(skill)s)
   and (%(since)s::timestamptz is null or d.decided_at >= %(since)s)
 group by 1, d.verdict
 order by 1, d.verdict

-- name: cards
-- Cards with why they were opened and what became of them; without those that were erased while they waited.
select c.card_id, c.skill, c.confidence, c.reasons, c.status
  from review_card c
 where c.tenant_id = %(tenant)s and c.card_id > %(after)s
   and (%(skill)s::text is null or c.skill = %(skill)s)
   and (%(since)s::timestamptz is null or c.opened_at >= %(since)s)
   and erasure_reason(c) is null
 order by c.card_id
 limit %(limit)s

-- name: labelled
-- Results that the gate ruled on, of tasks with a label.
select d.task_id, d.attempt, coalesce(o.skill, t.skill) as skill, r.outcome, t.label
  from decision d
  join task t on t.tenant_id = d.tenant_id and t.task_id = d.task_id
  join result r on r.tenant_id = d.tenant_id and r.task_id = d.task_id and r.attempt = d.attempt and r.sha256 = d.result_sha256
  left join lateral (select skill from replanned
                      where tenant_id = d.tenant_id and task_id = d.task_id and attempt >= d.attempt
                      order by attempt limit 1) o on true
 where d.tenant_id = %(tenant)s and t.label is not null
   and (d.decided_by = 'policy' or d.decided_by like 'policy and %%')
   and (d.task_id, d.attempt) > (%(task)s, %(attempt)s)
   and (%(skill)s::text is null or coalesce(o.skill, t.skill) = %(skill)s)
   and (%(since)s::timestamptz is null or d.decided_at >= %(since)s)
 order by d.task_id, d.attempt
 limit %(limit)s
