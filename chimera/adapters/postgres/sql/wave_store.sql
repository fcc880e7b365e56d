-- name: lock_tenant
-- One process at a time chooses a tenant's next waves; held until the transaction ends.
select pg_advisory_xact_lock(hashtextextended('chimera.dispatch', hashtext(%(tenant)s)::bigint))

-- name: take_next
-- Waves to send now, marked as taken: waiting ones while fewer than the window are in flight, highest priority
-- first, then oldest; and those in flight whose chord is still to be sent, or whose sender has not been heard of.
with room as (
    -- Not of paused plans: those wait in flight for as long as people like, and the other plans go on. So do waves
    -- that wait for a skill.
    select greatest(0, %(window)s - count(*)) as waves
      from wave w
      join plan p on p.tenant_id = w.tenant_id and p.plan_id = w.plan_id
     where w.tenant_id = %(tenant)s and w.state = 'in_flight' and p.paused_at is null
       and w.skill_waits_since is null
), stuck as (
    -- Plans with a window of waves that wait for a skill: more of them would only be looked at in vain.
    select plan_id from wave
     where tenant_id = %(tenant)s and state = 'in_flight'
       and skill_waits_since is not null
     group by plan_id having count(*) >= %(window)s
), next as (
    select w.plan_id, w.wave_no, p.trace_id
      from wave w
      join plan p on p.tenant_id = w.tenant_id and p.plan_id = w.plan_id
     where w.tenant_id = %(tenant)s and w.state = 'waiting' and p.state in ('running', 'in_review')
       and p.paused_at is null and w.plan_id not in (select plan_id from stuck)
       and (not w.has_dependencies or not exists (
            select from task t
              join task d on d.tenant_id = t.tenant_id and d.task_id = any (t.depends_on)
             where t.tenant_id = w.tenant_id and t.plan_id = w.plan_id and t.wave_no = w.wave_no
               and d.state in ('queued', 'running', 'staged', 'in_review')))
     order by w.priority desc, w.plan_id, w.wave_no
     limit (select waves from room)
), unsent as (
    select w.plan_id, w.wave_no, p.trace_id
      from wave w
      join plan p on p.tenant_id = w.tenant_id and p.plan_id = w.plan_id
     where w.tenant_id = %(tenant)s and w.state = 'in_flight' and w.published_at is null and p.paused_at is null
       and w.touched_at < clock_timestamp() - make_interval(secs => %(sender_seconds)s)
)
update wave w
   set state = 'in_flight', touched_at = clock_timestamp()
  from (select * from next union all select * from unsent) r
 where w.tenant_id = %(tenant)s and w.plan_id = r.plan_id and w.wave_no = r.wave_no
returning w.plan_id, w.wave_no, w.priority, r.trace_id

-- name: queued_tasks
-- The tasks that wait for an agent in these waves.
select t.plan_id, t.wave_no, t.task_id, t.skill, t.timeout_seconds,
       t.lost > 0 or (t.attempt > 0 and t.attempt = t.max_attempts - 1) as alone
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[]) as r (plan_id, wave_no)
  join task t on t.tenant_id = %(tenant)s and t.plan_id = r.plan_id and t.wave_no = r.wave_no
 where t.state = 'queued' and t.replan is null and t.over_budget is null
 order by t.plan_id, t.wave_no, t.ordinal

-- name: max_batches
-- The batch sizes of skills, as they were declared last.
select distinct on (name) name, max_batch
  from skill
 where name = any (%(skills)s::text[])
 order by name, last_seen desc, fingerprint

-- name: mark_published
-- These waves are sent, some of them without tasks whose skill too few agents have.
update wave w
   set published_at = clock_timestamp(), touched_at = clock_timestamp(), publish_count = publish_count + 1, epoch = %(epoch)s,
       skill_waits_since = case when r.waits then coalesce(w.skill_waits_since, clock_timestamp()) else w.skill_waits_since end
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[], %(waits)b::bool[]) as r (plan_id, wave_no, waits)
 where w.tenant_id = %(tenant)s and w.plan_id = r.plan_id and w.wave_no = r.wave_no
