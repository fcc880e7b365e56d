-- name: expired_plans
-- Plans whose deadline has passed, of all tenants.
select tenant_id, plan_id, trace_id from plan
 where state in ('submitted', 'planning', 'running', 'in_review') and deadline < clock_timestamp()
 limit 100

-- name: tenants_of_other_epochs
-- Tenants with something that was sent in another epoch of the broker.
select tenant_id from plan where state = 'submitted' and published_at is not null and epoch is distinct from %(epoch)s
union
select tenant_id from wave where state = 'in_flight' and published_at is not null and epoch is distinct from %(epoch)s

-- name: forget_plans
-- A tenant's plans whose planner's message was sent in another epoch: it is to be sent again.
update plan set published_at = null
 where tenant_id = %(tenant)s and state = 'submitted' and published_at is not null and epoch is distinct from %(epoch)s
returning plan_id

-- name: forget_waves
-- A tenant's waves whose chord was sent in another epoch, with what is left in them. Locked in one order, and
-- those left out that the Judge is writing to: it is then in the next round that they are found.
update wave w set published_at = null, touched_at = '-infinity',
                  replan_at = case when replan_at is not null then '-infinity'::timestamptz end
  from (select plan_id, wave_no from wave
         where tenant_id = %(tenant)s and state = 'in_flight' and published_at is not null
           and epoch is distinct from %(epoch)s
         order by plan_id, wave_no for update skip locked) old
 where w.tenant_id = %(tenant)s and w.plan_id = old.plan_id and w.wave_no = old.wave_no
returning w.wave_no

-- name: unplanned
-- Plans that wait for a planner for longer than a message takes, of all tenants: never sent, lost, or lease run out.
select tenant_id, plan_id, trace_id from plan
 where (state = 'submitted' and paused_at is null and submitted_at < clock_timestamp() - make_interval(secs => %(planner_message_seconds)s)
        and (published_at is null or published_at < clock_timestamp() - make_interval(secs => %(resend_seconds)s)))
    or (state = 'planning' and lease_until < clock_timestamp() and paused_at is null
        and (published_at is null or published_at < lease_until
             or published_at < clock_timestamp() - make_interval(secs => %(resend_seconds)s)))
 order by submitted_at
 limit 100

-- name: stopping
-- Plans that stop, of all tenants.
select tenant_id, plan_id, trace_id from plan where state = 'stopping' limit 100

-- name: untouched_waves
-- Waves in flight that nobody touched for as long as a quick wave takes, of all tenants.
select tenant_id, plan_id, wave_no from wave
 where state = 'in_flight' and published_at is not null and touched_at < clock_timestamp() - make_interval(secs => %(untouched_seconds)s)
 order by touched_at
 limit 500

-- name: take_wave
-- One of them, unless another sweep has it; whether its plan is paused (then nothing of it is sent, and resuming
-- sends it all), and whether its messages must have been lost. That is certain where the queue is empty; else the
-- wait doubles with each sending: what is still in the broker's queue behind others is not sent over and over.
select published_at < clock_timestamp()
                      - make_interval(secs => case when %(queue_is_empty)s then %(lost_seconds)s else %(resend_seconds)s
                                                   * 2 ^ least(publish_count - 1, %(resend_doublings)s) end) as lost,
       exists (select from plan where plan.tenant_id = wave.tenant_id and plan.plan_id = wave.plan_id
                                  and paused_at is not null) as paused,
       (select trace_id from plan where plan.tenant_id = wave.tenant_id and plan.plan_id = wave.plan_id) as trace_id,
       budget_waits,
       -- A message that came back is not in the queue: what waits for a skill is sent again soon.
       skill_waits_since is not null and (
           %(queue_is_empty)s or published_at < clock_timestamp() - make_interval(secs => %(resend_seconds)s)) as skill_waits
  from wave
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s and state = 'in_flight'
   and published_at is not null and touched_at < clock_timestamp() - make_interval(secs => %(untouched_seconds)s)
   for update skip locked

-- name: agents
-- The agents that hold a lease in these waves.
select distinct t.agent_id
  from unnest(%(plans)b::uuid[], %(wave_nos)b::int[]) as r (plan_id, wave_no)
  join task t on t.tenant_id = %(tenant)s and t.plan_id = r.plan_id and t.wave_no = r.wave_no
 where t.state = 'running'

-- name: end_leases_of
-- The leases of agents that do not live are over, unless one of the silent renewed one so lately that it must live.
select end_leases(%(plan)s, %(wave_no)s, %(gone)s::uuid[], %(silent)s::uuid[], %(lease_seconds)s::float8 - %(quiet_seconds)s)

-- name: take_back_leases
-- Tasks whose agent did not stage in time go back to the queue, while attempts are left. A lease that has just run
-- out is left alone a little longer: after PostgreSQL was away, its agent renews it before anybody takes it.
select task_id, attempt, agent_id from take_back_leases(%(plan)s, %(wave_no)s, %(lease_grace_seconds)s)

-- name: wave_needs
-- What of the wave waits for the Judge, what for an agent, and what of that for a skill that no agent has; what waits for
-- what others leave of a budget, for neither.
select count(*) filter (where state = 'staged'
                           or (state = 'running' and lease_until < clock_timestamp() - make_interval(secs => %(lease_grace_seconds)s)
                               and attempt >= max_attempts)
                           or (state = 'queued' and (replan in ('given_up', 'failed') or over_budget is not null))) as judge,
       count(*) filter (where state = 'queued' and replan is null and over_budget is null
                          and (reserved_for is not null or not %(waits)s)) as queued,
       count(*) filter (where state = 'queued' and replan is null and over_budget is null
                          and (reserved_for is not null or not %(waits)s)
                          and not coalesce(skill = any (%(skills)s::text[]), true)) as lacking,
       count(*) filter (where state = 'running') as running
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s

-- name: touch_wave
-- The wave was looked at, and is again soon, or later where no agent has the skill that it waits for; where its message must
-- have been lost it is to be sent again.
update wave
   set touched_at = case when %(publish)s then '-infinity'
                         else clock_timestamp() + make_interval(secs => %(again_seconds)s::float8 - %(untouched_seconds)s) end,
       published_at = case when %(publish)s then null else published_at end,
       skill_waits_since = case when %(lacking)s then coalesce(skill_waits_since, clock_timestamp())
                                when %(queued)s then skill_waits_since end
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s

-- name: unreplanned
-- Waves with tasks that wait for their planner for longer than a message takes, of all tenants.
select w.tenant_id, w.plan_id, w.wave_no
  from wave w
  join plan p using (tenant_id, plan_id)
 where w.state = 'in_flight' and w.replan_at < clock_timestamp() and p.state in ('running', 'in_review') and p.paused_at is null
 order by w.replan_at
 limit 100

-- name: take_unreplanned
-- One of them, unless another sweep has it or it was asked about meanwhile.
select wave_no
  from wave
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s and replan_at < clock_timestamp()
   for update skip locked

-- name: replan_needs
-- What of the wave waits for its planner, and what of that no planner works on.
select count(*) as asked, count(*) filter (where lease_until is null or lease_until < clock_timestamp()) as free
  from task
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s
   and state = 'queued' and replan = 'asked'

-- name: look_for_replans
-- When the wave is looked at again; never where nothing waits.
update wave
   set replan_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s

-- name: waiting_tenants
-- Tenants with a wave to send, of all.
select distinct w.tenant_id
  from wave w
  join plan p using (tenant_id, plan_id)
 where p.state in ('running', 'in_review') and p.paused_at is null
   and (w.state = 'waiting' or (w.state = 'in_flight' and (w.published_at is null or w.budget_waits)))

-- name: make_audit_partitions
-- The audit's partitions of this month and the next ones, where they are missing.
select make_audit_partitions()

-- name: bound_tenants
-- The tenants that have logins of their own.
select tenant_id, broker_sha256 from bound_tenants()
