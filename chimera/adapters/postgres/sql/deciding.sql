-- name: plan
-- Whether the plan was stopped, and the trace of its request.
select stop_state, trace_id from plan where tenant_id = %(tenant)s and plan_id = %(plan)s

-- name: send_back
-- Staged tasks back to the queue by a ruling of the gate: to be done as they are, or as their planner says.
update task t
   set state = 'queued', feedback = %(feedback)s::json, lease_token = null, lease_until = null,
       replans = t.replans + 1, replan_tries = 0, replan = case when p.has_replan then 'asked' end
  from plan p
 where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
   and t.task_id = any (%(task_ids)b::uuid[]) and t.attempt = %(attempt)s and t.state = 'staged'
   and p.tenant_id = t.tenant_id and p.plan_id = t.plan_id
returning t.task_id, t.replan is not null as asked

-- name: move_tasks
-- Tasks to where their decisions send them, if they are still where the decisions found them: queued ones only where no
-- agent gets them any more, running ones only where their lease has run out. By plan and wave first: an index that holds
-- a wave together, and the planner needs no statistics to choose it.
update task
   set state = %(state)s, feedback = coalesce(%(feedback)s::json, feedback), lease_token = null, lease_until = null,
       lost = lost + (state = 'running')::int,
       finished_at = case when %(state)s not in ('queued', 'in_review') then clock_timestamp() end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and task_id = any (%(task_ids)b::uuid[]) and attempt = %(attempt)s and state = %(found)s
   and (state in ('staged', 'in_review') or (state = 'running' and lease_until < clock_timestamp())
        or (state = 'queued' and (over_budget is not null or replan in ('given_up', 'failed'))))
returning task_id, false as asked

-- name: keep_lost_leases
-- Of tasks that were just moved because their last lease had run out: who held it.
insert into lost_lease (tenant_id, task_id, attempt, agent_id, claimed_at)
select tenant_id, task_id, attempt, agent_id, claimed_at
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s and task_id = any (%(task_ids)b::uuid[])

-- name: stop_tasks
-- Every open task of a wave to where its plan ends; returns where each was found.
update task t
   set state = %(end)s, lease_token = null, lease_until = null, finished_at = clock_timestamp()
  from (select task_id, state from task
         where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
           and state in ('queued', 'running', 'staged', 'in_review')
         order by task_id for update) old
 where t.tenant_id = %(tenant)s and t.task_id = old.task_id
returning t.task_id, t.attempt, old.state as found,
          -- While it waits in the queue, its row names who had it last, who may have given it back.
          case when old.state <> 'queued' then t.agent_id else (
              select r.agent_id from result r
               where r.tenant_id = t.tenant_id and r.task_id = t.task_id and r.attempt = t.attempt) end as agent_id

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
-- The wave's counts after decisions; it closes when none of its tasks is open. A task that goes back to the
-- queue makes the wave one that is to be sent again, now; one that waits for its planner, one that the sweep asks about
-- when the message to the planner was lost.
update wave
   set approved = approved + %(approved)s, denied = denied + %(denied)s, exhausted = exhausted + %(exhausted)s,
       cancelled = cancelled + %(cancelled)s, in_review = in_review + %(in_review)s,
       state = case when approved + denied + exhausted + cancelled + in_review
                         + %(approved)s + %(denied)s + %(exhausted)s + %(cancelled)s + %(in_review)s = task_count
                    then 'closed' else 'in_flight' end,
       published_at = case when %(requeued)s then null else published_at end,
       touched_at = case when %(requeued)s then '-infinity' else clock_timestamp() end,
       replan_at = case when %(asked)s then clock_timestamp() + make_interval(secs => %(planner_message_seconds)s) else replan_at end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
returning state

-- name: settle_plan
-- The plan's state, once all of its waves are closed: people are waited for, or it has ended: one way where each of its
-- tasks was approved or denied, the other where not.
update plan p
   set state = s.state, finished_at = case when s.state <> 'in_review' then clock_timestamp() end
  from (select case when sum(in_review) > 0 then 'in_review'
                    when sum(exhausted + cancelled) > 0 then %(unanswered)s
                    else %(answered)s end as state
          from wave
         where tenant_id = %(tenant)s and plan_id = %(plan)s
        having bool_and(state = 'closed')) s
 where p.tenant_id = %(tenant)s and p.plan_id = %(plan)s and p.state in ('running', 'in_review', 'stopping')
   and not (p.state = 'stopping' and s.state = 'in_review') and p.state <> s.state
returning p.state

-- name: insert_decisions
-- Decisions, each with its audit entry.
insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, decided_by,
                      decided_at, audit_seq)
select %(tenant)s, r.task_id, r.attempt, r.verdict, r.result_sha256, r.final, r.reasons::json, r.policy_version, r.decided_by,
       %(at)s, r.audit_seq
  from unnest(%(task_ids)b::uuid[], %(attempts)b::smallint[], %(verdicts)b::text[], %(hashes)b::bytea[], %(finals)b::bool[],
              %(reasons)b::text[], %(policies)b::text[], %(deciders)b::text[], %(seqs)b::bigint[])
       as r (task_id, attempt, verdict, result_sha256, final, reasons, policy_version, decided_by, audit_seq)

-- name: insert_commits
-- Commits of approved results.
insert into commit (tenant_id, task_id, attempt, result_sha256, state_key, state_version, committed_at)
select %(tenant)s, r.task_id, r.attempt, r.result_sha256, r.state_key, r.state_version, %(at)s
  from unnest(%(task_ids)b::uuid[], %(attempts)b::smallint[], %(hashes)b::bytea[], %(keys)b::text[], %(versions)b::bigint[])
       as r (task_id, attempt, result_sha256, state_key, state_version)
