-- name: begin
-- A tenant's count, where it has none.
insert into refusal (tenant_id, since, recorded)
select tenant_id, clock_timestamp(), 0 from audit_head where tenant_id = %(tenant)s
    on conflict do nothing

-- name: lock
-- The count, locked before the audit's head.
select since, recorded, unrecorded, clock_timestamp() as now from refusal where tenant_id = %(tenant)s for update

-- name: write
-- The count from now on.
update refusal set since = %(since)s, recorded = %(recorded)s, unrecorded = %(unrecorded)s where tenant_id = %(tenant)s

-- name: uncounted_tenants
-- Tenants with refused attempts of a minute that is over which no entry tells of.
select tenant_id from refusal where unrecorded > 0 and since < clock_timestamp() - make_interval(secs => %(window_seconds)s) limit 100

-- name: lock_counted
-- The same of one tenant, locked.
select since, recorded, unrecorded from refusal
 where tenant_id = %(tenant)s and unrecorded > 0 and since < clock_timestamp() - make_interval(secs => %(window_seconds)s) for update skip locked

-- name: forget_rest
-- They are on record.
update refusal set unrecorded = 0 where tenant_id = %(tenant)s
