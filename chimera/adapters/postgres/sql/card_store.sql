-- name: place
-- Where the card's task is.
select t.plan_id, t.wave_no
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s

-- name: lock
-- The card, so that one change follows the other.
select card_id from review_card where tenant_id = %(tenant)s and card_id = %(card)s for update

-- name: card
-- What deciding on the card needs. Read once the card is locked: what is joined is then of the same moment.
select c.card_id, c.plan_id, c.task_id, c.attempt, t.agent_id, c.status, c.version, c.decided_by, c.revision, c.approvals_needed,
       coalesce(v.sha256, c.result_sha256) as result_sha256, t.state_key, t.state_version,
       case when c.claim_expires_at > clock_timestamp() then c.claimed_by end as held_by, c.claim_expires_at,
       array(select a.approved_by from review_approval a
              where a.tenant_id = c.tenant_id and a.card_id = c.card_id
                and a.result_sha256 = coalesce(v.sha256, c.result_sha256)
              order by a.approved_at, a.approved_by) as approvals
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  left join revision v on v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s

-- name: next
-- The oldest card that waits for this person: nobody else has it, and this person has not approved what it shows.
select c.card_id
  from review_card c
  join plan p on p.tenant_id = c.tenant_id and p.plan_id = c.plan_id
 where c.tenant_id = %(tenant)s and c.status = 'pending' and p.stop_state is null
   and (c.claim_expires_at is null or c.claim_expires_at <= clock_timestamp())
   and (%(skill)s::text is null or c.skill = %(skill)s)
   and not exists (
       select from review_approval a
        where a.tenant_id = c.tenant_id and a.card_id = c.card_id and a.approved_by = %(who)s
          and a.result_sha256 = case when c.revision = 0 then c.result_sha256 else (
              select v.sha256 from revision v
               where v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision) end)
 order by c.card_id
 limit 1
   for update of c skip locked

-- name: claim
-- The card is this person's for the given seconds.
update review_card set claimed_by = %(who)s, claim_expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and card_id = %(card)s
returning claim_expires_at

-- name: release
-- The card is everybody's again.
update review_card set claimed_by = null, claim_expires_at = null where tenant_id = %(tenant)s and card_id = %(card)s

-- name: staged
-- The result that the card was opened for, as the gate takes it.
select t.task_id, t.skill, t.input, t.attempt, t.agent_id, t.max_attempts, t.replans, t.state_key, t.state_version, r.outcome,
       r.sha256, octet_length(r.outcome::text) as size, r.tokens, r.cost_usd
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s

-- name: insert_revision
-- A person's version of the result.
insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, policy_version, edited_by, note)
values (%(tenant)s, %(card)s, %(number)s, %(task)s, %(attempt)s, %(outcome)s::json, %(sha256)s, %(reasons)s::json, %(policy)s,
        %(who)s, %(note)s)

-- name: show_revision
-- The card shows it from now on; a reviewer who saw what it showed before has to look again.
update review_card set revision = %(number)s, version = version + 1 where tenant_id = %(tenant)s and card_id = %(card)s

-- name: insert_approval
-- That a person approved what the card shows.
insert into review_approval (tenant_id, card_id, result_sha256, approved_by, approved_at, audit_seq)
values (%(tenant)s, %(card)s, %(sha256)s, %(who)s, %(at)s, %(seq)s)
    on conflict do nothing

-- name: decide
-- What became of the card.
update review_card
   set status = %(status)s, decided_by = %(who)s, note = %(note)s, decided_at = clock_timestamp(), version = version + 1
 where tenant_id = %(tenant)s and card_id = %(card)s
