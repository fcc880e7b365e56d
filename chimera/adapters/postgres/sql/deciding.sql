-- name: lock_wave
-- One decision on a wave after the other.
select state from wave where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s for update

-- name: lock_plan
-- The plan, so that of two waves that close at the same time the second sees the first.
select state, stop_state from plan where tenant_id = %(tenant)s and plan_id = %(plan)s for update

-- name: plan
-- Whether the plan was stopped.
select stop_state from plan where tenant_id = %(tenant)s and plan_id = %(plan)s

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

-- name: end_given_up
-- Tasks that their planner gave up to their end.
update task
   set state = %(state)s, finished_at = clock_timestamp()
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and task_id = any (%(task_ids)b::uuid[]) and attempt = %(attempt)s and state = 'queued'
   and replan in ('given_up', 'failed')
returning task_id, false as asked

-- name: move_tasks
-- Tasks to where their decisions send them, if they are still where the decisions found them. By plan and wave
-- first: an index that holds a wave together, and the planner needs no statistics to choose it.
update task
   set state = %(state)s, feedback = coalesce(%(feedback)s::json, feedback), lease_token = null, lease_until = null,
       finished_at = case when %(state)s not in ('queued', 'in_review') then clock_timestamp() end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and task_id = any (%(task_ids)b::uuid[]) and attempt = %(attempt)s
   and state = %(found)s and (state = 'staged' or lease_until < clock_timestamp() or over_budget is not null)
returning task_id, false as asked

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
insert into state as s (tenant_id, key, value, version, task_id, changed_at)
select %(tenant)s, r.key, r.value::json, r.version + 1, r.task_id, clock_timestamp()
  from unnest(%(keys)b::text[], %(versions)b::bigint[], %(values)b::text[], %(task_ids)b::uuid[], %(attempts)b::smallint[])
       as r (key, version, value, task_id, attempt)
  join task t on t.tenant_id = %(tenant)s and t.task_id = r.task_id and t.attempt = r.attempt
 where t.state in ('staged', 'in_review')
    on conflict (tenant_id, key) do update
       set value = excluded.value, version = excluded.version, task_id = excluded.task_id, changed_at = excluded.changed_at,
           erased_at = null
     where s.version = excluded.version - 1
returning key, version, task_id

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
       replan_at = case when %(asked)s then clock_timestamp() + interval '2 seconds' else replan_at end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
returning state

-- name: settle_plan
-- The plan's state, once all of its waves are closed: people are waited for, or it has ended.
update plan p
   set state = s.state, finished_at = case when s.state <> 'in_review' then clock_timestamp() end
  from (select case when sum(in_review) > 0 then 'in_review' else %(end)s end as state
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
