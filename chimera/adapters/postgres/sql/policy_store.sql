-- name: append
-- The next version.
insert into policy (tenant_id, number, name, body, sha256, applied_by, has_floor, isolated)
select %(tenant)s, coalesce(max(number), 0) + 1, %(name)s, %(body)s, %(sha256)s, %(actor)s, %(has_floor)s, %(isolated)s::text[]
  from policy
 where tenant_id = %(tenant)s
returning number

-- name: versions
-- What was applied, newest first.
select number, name, sha256, applied_at, applied_by from policy where tenant_id = %(tenant)s order by number desc

-- name: lock_default
-- One change of the default at a time.
select pg_advisory_xact_lock(hashtextextended('chimera.policy', 0))

-- name: tenants
-- All tenants.
select tenant_id from tenant order by tenant_id

-- name: speak_for
-- The rest of the transaction speaks for this tenant.
select set_config('chimera.tenant', %(tenant)s, true)

-- name: judged
-- Results that a policy ruled on, with the ruling. Of a result that a person decided later this is the referral. Skill
-- and input are those that the result was made from: a planner may have changed the task since.
select d.task_id, d.attempt, d.verdict, d.final, t.plan_id, coalesce(o.skill, t.skill) as skill,
       coalesce(o.input, t.input)::text as input, t.max_attempts, t.state_key, t.state_version,
       r.outcome::text as outcome, r.sha256, r.tokens, r.cost_usd,
       coalesce(r.fingerprint, (
           select s.fingerprint from skill s where s.name = coalesce(o.skill, t.skill) and s.first_seen <= r.finished_at
            order by s.last_seen desc, s.fingerprint limit 1)) as fingerprint
  from decision d
  join task t on t.tenant_id = d.tenant_id and t.task_id = d.task_id
  join result r on r.tenant_id = d.tenant_id and r.task_id = d.task_id and r.attempt = d.attempt and r.sha256 = d.result_sha256
  left join lateral (select skill, input from replanned
                      where tenant_id = d.tenant_id and task_id = d.task_id and attempt >= d.attempt
                      order by attempt limit 1) o on true
 where d.tenant_id = %(tenant)s and (d.decided_by = 'policy' or d.decided_by like 'policy and %%')
   and (d.task_id, d.attempt) > (%(task)s, %(attempt)s)
   and (%(plan)s::uuid is null or t.plan_id = %(plan)s)
   and (%(since)s::timestamptz is null or d.decided_at >= %(since)s)
 order by d.task_id, d.attempt
 limit %(limit)s
