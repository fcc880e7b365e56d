-- name: outputs
-- The results of open tasks, for those that change shared state; where a person wrote another version, that.
select t.task_id, coalesce(v.outcome, r.outcome) as outcome
  from task t
  join result r on r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt
  left join review_card c on c.tenant_id = t.tenant_id and c.task_id = t.task_id and c.attempt = t.attempt
  left join revision v on v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision
 where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
   and t.task_id = any (%(task_ids)b::uuid[]) and t.state in ('staged', 'in_review')

-- name: write_state
-- Shared state to its next version, where it is still at the version that the task saw and the task still open.
select task_id, version from write_state(%(keys)b::text[], %(values)b::text[], %(task_ids)b::uuid[])
