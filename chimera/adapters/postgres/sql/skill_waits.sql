-- name: tenants
-- Tenants with waves that wait for a skill, of all.
select distinct tenant_id
  from wave
 where state = 'in_flight' and skill_waits_since is not null
 order by tenant_id

-- name: waits
-- What a tenant's waves, or one plan's, have waiting for a skill, and since when; whether only some workers may run it.
select w.tenant_id, t.skill, count(*) as count, min(w.skill_waits_since) as since, (select is_isolated()) as isolated
  from wave w
  join task t on t.tenant_id = w.tenant_id and t.plan_id = w.plan_id and t.wave_no = w.wave_no
 where w.tenant_id = %(tenant)s and (%(plan)s::uuid is null or w.plan_id = %(plan)s) and w.state = 'in_flight'
   and t.state = 'queued' and t.replan is null and t.over_budget is null and w.skill_waits_since is not null
 group by w.tenant_id, t.skill
 order by t.skill
