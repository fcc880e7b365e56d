-- name: in_force
-- What applies to a tenant: the latest of its own, else the latest default.
select tenant_id <> '*' as own, number, body, sha256
  from policy
 where tenant_id in (%(tenant)s, '*')
 order by tenant_id = '*', number desc
 limit 1

-- name: in_force_version
-- The same without its body.
select number, name, sha256 from policy where tenant_id in (%(tenant)s, '*') order by tenant_id = '*', number desc limit 1
