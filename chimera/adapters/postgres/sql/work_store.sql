-- name: claim
-- The lease of those tasks that are free, one attempt each: a fence that every later write must name.
-- Rows that another process has locked are being claimed or closed by it: they are left alone. What was lost
-- with its agent before may be what ends agents: it runs alone, so that it takes no other task with it. So does what
-- was tried before and has one attempt left: a neighbour must not take that. What waits for its planner is nobody's. Value
-- and version of shared state are of one snapshot, the statement's.
with free as (
    select t.task_id
      from task t
     where t.tenant_id = %(tenant)s and t.task_id = any (%(task_ids)b::uuid[])
       and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
       and t.attempt < t.max_attempts and t.state = 'queued' and t.replan is null and t.skill = any (%(skills)s::text[])
       -- Where the tenant has a budget: only what something is set aside for. Looked at once, not for each task.
       and t.over_budget is null
       and (t.reserved_for = t.attempt + 1
            or not coalesce((select y.budgeted from policy y where y.tenant_id in (%(tenant)s, '*')
                              order by y.tenant_id = '*', y.number desc limit 1), false))
       and (cardinality(%(task_ids)b::uuid[]) = 1 or (t.lost = 0 and (t.attempt = 0 or t.attempt < t.max_attempts - 1)))
       and exists (select from plan p
                    where p.tenant_id = t.tenant_id and p.plan_id = t.plan_id and p.state in ('running', 'in_review')
                      and p.paused_at is null
                      and (p.deadline is null or p.deadline > clock_timestamp()))
       and (t.depends_on is null or not exists (
            select from task d
             where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on)
               and d.state in ('queued', 'running', 'staged', 'in_review')))
       for update of t skip locked
)
update task t
   set state = 'running', attempt = t.attempt + 1, agent_id = %(agent)s, lease_token = %(token)s,
       lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
       started_at = coalesce(t.started_at, clock_timestamp()), claimed_at = clock_timestamp(),
       state_version = case when t.state_key is not null then coalesce(
           (select s.version from state s where s.tenant_id = t.tenant_id and s.key = t.state_key), 0) end
  from free
 where t.tenant_id = %(tenant)s and t.task_id = free.task_id
returning (select p.trace_id from plan p where p.tenant_id = %(tenant)s and p.plan_id = %(plan)s) as trace_id,
          t.task_id, t.ordinal, t.skill, t.input::text as input, t.attempt, t.max_attempts, t.timeout_seconds,
          t.feedback::text as feedback, t.state_key, t.state_version,
          case when t.state_key is not null then
              (select s.value::text from state s where s.tenant_id = t.tenant_id and s.key = t.state_key)
          end as state_value,
          case when t.depends_on is not null then array(
              select d.task_id from task d
               where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on) and d.state <> 'approved')
          end as unmet_dependencies

-- name: lacking
-- The skills that these tasks wait for, of those that are not among these.
select distinct skill
  from task
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and plan_id = %(plan)s and wave_no = %(wave_no)s
   and state = 'queued' and replan is null and over_budget is null and not skill = any (%(skills)s::text[])

-- name: wait_for_skill
-- The wave waits for a skill; written once, however many of its messages are given back.
update wave
   set skill_waits_since = clock_timestamp()
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and state = 'in_flight' and skill_waits_since is null

-- name: renew
-- More time for the tasks that are still held with this token, while their plan goes on; and whether another of
-- them may be started.
update task t
   set lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
  from plan p
 where t.tenant_id = %(tenant)s and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
   and t.lease_token = %(token)s and t.state = 'running'
   and p.tenant_id = t.tenant_id and p.plan_id = t.plan_id and p.state in ('running', 'in_review')
   and (p.deadline is null or p.deadline > clock_timestamp())
returning p.paused_at is null as may_start

-- name: release
-- Tasks that were claimed and not started go back to the queue, their attempt unused.
update task
   set state = 'queued', attempt = attempt - 1, lease_token = null, lease_until = null, claimed_at = null,
       started_at = case when attempt > 1 then started_at end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and task_id = any (%(task_ids)b::uuid[]) and lease_token = %(token)s and state = 'running'

-- name: stage
-- The results of tasks whose lease this still is. What comes too late finds no row: it is put on record, unless
-- it is here already because the answer to its first staging was lost. Returns what is stored.
with given as (
    select *
      from unnest(%(task_ids)b::uuid[], %(attempts)b::smallint[], %(outcomes)b::text[], %(hashes)b::bytea[],
                  %(tokens)b::bigint[], %(costs)b::numeric[], %(started)b::timestamptz[], %(finished)b::timestamptz[],
                  %(fingerprints)b::bytea[])
           as r (task_id, attempt, outcome, sha256, tokens, cost_usd, started_at, finished_at, fingerprint)
), mine as (
    update task
       set state = 'staged', lease_token = null, lease_until = null
     where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
       and task_id = any (%(task_ids)b::uuid[]) and lease_token = %(token)s and state = 'running'
       and (task_id, attempt) in (select task_id, attempt from given)
    returning task_id, attempt, claimed_at
), stored as (
    insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, tokens, cost_usd, started_at, finished_at,
                        claimed_at, fingerprint)
    select %(tenant)s, r.task_id, r.attempt, %(agent)s, r.outcome::json, r.sha256, r.tokens, r.cost_usd, r.started_at,
           r.finished_at, mine.claimed_at, r.fingerprint
      from given r
      join mine using (task_id, attempt)
    returning task_id
), earlier as (
    select r.task_id
      from given r
      join result e on e.tenant_id = %(tenant)s and e.task_id = r.task_id and e.attempt = r.attempt and e.sha256 = r.sha256
), stale as (
    insert into stale_result (tenant_id, plan_id, task_id, attempt, agent_id, lease_token, result_sha256)
    select %(tenant)s, %(plan)s, r.task_id, r.attempt, %(agent)s, %(token)s, r.sha256
      from given r
     where r.task_id not in (select task_id from stored union all select task_id from earlier)
        on conflict do nothing
)
select task_id from stored union all select task_id from earlier
