-- name: place
-- Where the card's task is.
select t.plan_id, t.wave_no
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s

-- name: lock
-- The card, so that one change follows the other.
select lock_card(%(card)s)

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
select next_card(%(who)s, %(skill)s) as card_id

-- name: claim
-- The card is this person's for the given seconds.
select claim_card(%(card)s, %(who)s, %(seconds)s) as claim_expires_at

-- name: release
-- The card is everybody's again.
select release_card(%(card)s, %(who)s)

-- name: staged
-- The result that the card was opened for, as the gate takes it.
select t.task_id, t.skill, t.input::text as input, t.attempt, t.agent_id, t.max_attempts, t.replans, t.state_key,
       t.state_version, r.outcome::text as outcome, r.sha256, r.tokens, r.cost_usd,
       coalesce(r.fingerprint, (
           select s.fingerprint from skill s where s.name = t.skill and s.first_seen <= r.finished_at
            order by s.last_seen desc, s.fingerprint limit 1)) as fingerprint
  from review_card c
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
 where c.tenant_id = %(tenant)s and c.card_id = %(card)s

-- name: revise
-- A person's version of the result: the card shows it from now on, and who saw what it showed before has to look again.
select revise_card(%(card)s, %(version)s, %(outcome)s, %(sha256)s, %(reasons)s, %(policy)s, %(who)s, %(note)s)

-- name: insert_approval
-- That a person approved what the card shows.
select approve_card(%(card)s, %(sha256)s, %(who)s, %(at)s, %(seq)s)

-- name: decide
-- What became of the card.
select decide_card(%(card)s, %(version)s, %(status)s, %(who)s, %(note)s)
