-- name: claim
-- The lease of those tasks that are free, one attempt each: a fence that every later write must name.
-- Rows that another process has locked are being claimed or closed by it: they are left alone.
with free as (
    select t.task_id
      from task t
     where t.tenant_id = %(tenant)s and t.task_id = any (%(task_ids)b::uuid[])
       and t.plan_id = %(plan)s and t.wave_no = %(wave_no)s
       and t.attempt < t.max_attempts
       and (t.state = 'queued' or (t.state = 'running' and t.lease_until < clock_timestamp()))
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
       state_version = case when t.state_key is not null then coalesce(
           (select s.version from state s where s.tenant_id = t.tenant_id and s.key = t.state_key), 0) end
  from free
 where t.tenant_id = %(tenant)s and t.task_id = free.task_id
returning t.task_id, t.ordinal, t.skill, t.input::text as input, t.attempt, t.timeout_seconds,
          case when t.depends_on is not null then array(
              select d.task_id from task d
               where d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on) and d.state <> 'approved')
          end as unmet_dependencies

-- name: stage
-- The results of tasks whose lease this still is; a result that comes too late finds no row.
with mine as (
    update task
       set state = 'staged', lease_token = null, lease_until = null
     where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
       and task_id = any (%(task_ids)b::uuid[]) and lease_token = %(token)s and state = 'running'
       and (task_id, attempt) in (select * from unnest(%(task_ids)b::uuid[], %(attempts)b::smallint[]))
    returning task_id, attempt
)
insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, tokens, cost_usd, started_at, finished_at)
select %(tenant)s, r.task_id, r.attempt, %(agent)s, r.outcome::json, r.sha256, r.tokens, r.cost_usd, r.started_at, r.finished_at
  from unnest(%(task_ids)b::uuid[], %(attempts)b::smallint[], %(outcomes)b::text[], %(hashes)b::bytea[],
              %(tokens)b::bigint[], %(costs)b::numeric[], %(started)b::timestamptz[], %(finished)b::timestamptz[])
       as r (task_id, attempt, outcome, sha256, tokens, cost_usd, started_at, finished_at)
  join mine using (task_id, attempt)
returning task_id
