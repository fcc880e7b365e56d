-- name: cards
-- Cards with what they show, oldest first; one, or those of a plan, in a status, or all.
select c.tenant_id, c.card_id, c.plan_id, c.task_id, c.attempt, c.skill, t.input::text as input, r.outcome::text as outcome,
       c.result_sha256, c.reasons, c.confidence, c.policy_version, c.status, c.version, c.claimed_by, c.claim_expires_at,
       c.due_at, c.decided_by, c.decided_at, c.note, c.opened_at
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
 where c.tenant_id = %(tenant)s
   and (%(card)s::uuid is null or c.card_id = %(card)s)
   and (%(plan)s::uuid is null or c.plan_id = %(plan)s)
   and (%(status)s::text is null or c.status = %(status)s)
 order by c.card_id
 limit %(limit)s
