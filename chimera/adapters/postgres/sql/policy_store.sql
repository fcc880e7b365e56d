-- name: in_force
-- What applies to a tenant: the latest of its own, else the latest default.
select tenant_id <> '*' as own, number, body, sha256
  from policy
 where tenant_id in (%(tenant)s, '*')
 order by tenant_id = '*', number desc
 limit 1

-- name: append
-- The next version.
insert into policy (tenant_id, number, name, body, sha256, applied_by)
select %(tenant)s, coalesce(max(number), 0) + 1, %(name)s, %(body)s, %(sha256)s, %(actor)s from policy where tenant_id = %(tenant)s
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

-- name: follows_default
-- Whether the default applies to the tenant that is spoken for.
select not exists (select from policy where tenant_id = %(tenant)s) as follows

-- name: speak_for
-- The rest of the transaction speaks for this tenant.
select set_config('chimera.tenant', %(tenant)s, true)
