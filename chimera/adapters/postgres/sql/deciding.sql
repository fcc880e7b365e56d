-- name: send_back
-- Staged tasks back to the queue by a ruling of the gate: to be done as they are, or as their planner says.
select task_id, asked
  from send_back_tasks(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(attempt)s::smallint, %(feedback)s)

-- name: move_tasks
-- Tasks to where their decisions send them, if they are still where the decisions found them.
select task_id, false as asked
  from move_tasks(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(attempt)s::smallint, %(found)s, %(state)s, %(feedback)s)
       as task_id

-- name: stop_tasks
-- Every open task of a wave to where its plan ends; returns where each was found.
select task_id, attempt, found, agent_id from stop_tasks(%(plan)s, %(wave_no)s)

-- name: stop_cards
-- Their cards, which nobody has to decide any more.
select stop_cards(%(plan)s, %(task_ids)b::uuid[], %(end)s)

-- name: open_cards
-- Cards for what a person must decide.
insert into review_card (tenant_id, card_id, plan_id, task_id, attempt, skill, result_sha256, reasons, confidence,
                         policy_version, approvals_needed, opened_at)
select %(tenant)s, r.card_id, %(plan)s, r.task_id, r.attempt, r.skill, r.result_sha256, r.reasons::json, r.confidence,
       r.policy_version, r.approvals_needed, clock_timestamp()
  from unnest(%(card_ids)b::uuid[], %(task_ids)b::uuid[], %(attempts)b::smallint[], %(skills)b::text[],
              %(hashes)b::bytea[], %(reasons)b::text[], %(confidences)b::float8[], %(policies)b::text[],
              %(quorums)b::smallint[])
       as r (card_id, task_id, attempt, skill, result_sha256, reasons, confidence, policy_version, approvals_needed)

-- name: count_wave
-- The wave's counts after decisions; where that closes its plan, the state that this has now.
select count_wave(%(plan)s, %(wave_no)s, %(requeued)s, %(asked)s, %(planner_message_seconds)s) as plan_state

-- name: decide
-- Decisions, each with its audit entry and its commit, and what else is recorded with them.
select trace, refused
  from decide(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(attempts)b::smallint[], %(verdicts)b::text[], %(hashes)b::bytea[],
              %(finals)b::bool[], %(reasons)b::text[], %(policies)b::text[], %(deciders)b::text[], %(agents)b::uuid[],
              %(keys)b::text[], %(versions)b::bigint[], %(stopping)s, %(kinds)b::text[], %(actors)b::text[],
              %(event_tasks)b::uuid[], %(payloads)b::text[])

-- name: plan
-- Whether the plan was stopped.
select stop_state from plan where tenant_id = %(tenant)s and plan_id = %(plan)s
