-- name: in_force
-- What applies to a tenant: the latest of its own, with the latest default where that has a floor; else the latest default.
select p.own, p.number, p.body, f.number as floor_number, f.body as floor_body
  from (select tenant_id <> '*' as own, number, body
          from policy
         where tenant_id in (%(tenant)s, '*')
         order by tenant_id = '*', number desc
         limit 1) p
  left join (select number, body, has_floor from policy where tenant_id = '*' order by number desc limit 1) f
         on p.own and f.has_floor

-- name: in_force_version
-- The same without bodies.
select p.number, p.name, p.sha256, f.number as floor_number, f.name as floor_name, f.sha256 as floor_sha256
  from (select tenant_id <> '*' as own, number, name, sha256
          from policy
         where tenant_id in (%(tenant)s, '*')
         order by tenant_id = '*', number desc
         limit 1) p
  left join (select number, name, sha256, has_floor from policy where tenant_id = '*' order by number desc limit 1) f
         on p.own and f.has_floor
