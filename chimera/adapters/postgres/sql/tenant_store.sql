-- name: add
-- A tenant, unless it is there.
insert into tenant (tenant_id) values (%(tenant)s) on conflict do nothing returning tenant_id

-- name: add_head
-- The start of its audit chain.
insert into audit_head (tenant_id) values (%(tenant)s)

-- name: list
-- All tenants.
select tenant_id, created_at from tenant order by tenant_id
