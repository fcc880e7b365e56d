-- name: tenant
-- Whether there is such a tenant.
select 1 as one from tenant where tenant_id = %(tenant)s

-- name: role
-- Whether the cluster has a role of this name, and whose it is.
select exists (select from pg_roles where rolname = %(role)s) as is_there,
       (select tenant_id from role_tenant where role = %(role)s::name) as tenant_id

-- name: bind
-- Makes a login one tenant's.
insert into role_tenant (role, tenant_id, broker_sha256) values (%(role)s::name, %(tenant)s, %(broker)s)
    on conflict (role) do update set broker_sha256 = excluded.broker_sha256

-- name: unbind
-- Takes a tenant's logins from it.
delete from role_tenant where tenant_id = %(tenant)s returning role::text

-- name: bound_tenants
-- The tenants that have logins of their own.
select tenant_id, broker_sha256 from bound_tenants()
