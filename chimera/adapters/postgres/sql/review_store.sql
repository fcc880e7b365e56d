-- name: cards
-- Cards with what they show, oldest first; one, or those that are all of what is given.
select c.tenant_id, c.card_id, c.plan_id, c.task_id, c.attempt, c.skill, t.input::text as input,
       coalesce(v.outcome, r.outcome)::text as outcome, coalesce(v.sha256, c.result_sha256) as result_sha256,
       c.revision, v.edited_by, coalesce(v.reasons, c.reasons) as reasons, c.confidence,
       coalesce(v.policy_version, c.policy_version) as policy_version, c.status, c.version, c.approvals_needed,
       array(select a.approved_by from review_approval a
              where a.tenant_id = c.tenant_id and a.card_id = c.card_id
                and a.result_sha256 = coalesce(v.sha256, c.result_sha256)
              order by a.approved_at, a.approved_by) as approvals,
       case when c.status = 'pending' and c.claim_expires_at > clock_timestamp() then c.claimed_by end as claimed_by,
       case when c.status = 'pending' and c.claim_expires_at > clock_timestamp() then c.claim_expires_at end
           as claim_expires_at,
       c.due_at, c.decided_by, c.decided_at, c.note, c.opened_at, c.erased_at,
       erasure_reason(c) as erasure_reason
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
  left join revision v on v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision
 where c.tenant_id = %(tenant)s
   and (%(card)s::uuid is null or c.card_id = %(card)s)
   and (%(plan)s::uuid is null or c.plan_id = %(plan)s)
   and (%(status)s::text is null or c.status = %(status)s)
   and (%(since)s::timestamptz is null or coalesce(c.decided_at, c.opened_at) >= %(since)s)
   and (%(until)s::timestamptz is null or coalesce(c.decided_at, c.opened_at) < %(until)s)
   and (%(task)s::uuid is null or c.task_id = %(task)s)
   and (%(rule)s::text is null or exists (
        select from json_array_elements(coalesce(v.reasons, c.reasons)) e
         where e ->> 'rule' = %(rule)s or starts_with(e ->> 'rule', %(rule)s || '.')))
   and (%(actor)s::text is null or %(actor)s in (c.decided_by, v.edited_by)
        or (c.status = 'pending' and c.claim_expires_at > clock_timestamp() and c.claimed_by = %(actor)s)
        or exists (select from review_approval a
                    where a.tenant_id = c.tenant_id and a.card_id = c.card_id and a.approved_by = %(actor)s
                      and a.result_sha256 = coalesce(v.sha256, c.result_sha256)))
 order by c.card_id
 limit %(limit)s

-- name: revisions
-- Every version of a card's result, the agent's own first.
select 0 as number, r.outcome::text as outcome, r.sha256, c.reasons, c.policy_version,
       null as edited_by, null::timestamptz as edited_at, null as note
  from review_card c
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s
 union all
select v.number, v.outcome::text, v.sha256, v.reasons, v.policy_version, v.edited_by, v.edited_at, v.note
  from revision v
 where v.tenant_id = %(tenant)s and v.card_id = %(card)s
 order by number
