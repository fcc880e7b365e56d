-- name: claim
-- The lease of those tasks that are free, one attempt each.
select *
  from claim_tasks(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(agent)s, %(token)s, %(seconds)s, %(skills)s::text[])

-- name: give_back
-- The skills that these tasks wait for, of those that are not among these: their wave waits for them now.
select skill from give_back_tasks(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(skills)s::text[]) as skill

-- name: renew
-- More time for the tasks that are still held with this token; for each, whether another of them may be started.
select may_start from renew_leases(%(plan)s, %(wave_no)s, %(token)s, %(seconds)s) as may_start

-- name: release
-- Tasks that were claimed and not started go back to the queue, their attempt unused.
select release_tasks(%(plan)s, %(wave_no)s, %(task_ids)b::uuid[], %(token)s)

-- name: stage
-- The results of tasks whose lease this still is; returns what is stored.
select task_id
  from stage_results(%(plan)s, %(wave_no)s, %(agent)s, %(token)s, %(task_ids)b::uuid[], %(attempts)b::smallint[],
                     %(outcomes)b::text[], %(hashes)b::bytea[], %(tokens)b::bigint[], %(costs)b::numeric[],
                     %(started)b::timestamptz[], %(finished)b::timestamptz[], %(fingerprints)b::bytea[]) as task_id
