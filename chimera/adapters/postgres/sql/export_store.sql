-- name: ask
-- An export that somebody wants sealed.
insert into audit_export (tenant_id, export_id, after_seq) values (%(tenant)s, %(export)s, %(after)s)

-- name: header
-- The answer, if there is one.
select header, answered_at from audit_export where export_id = %(export)s and tenant_id = %(tenant)s

-- name: asked
-- Of each tenant, of all, the export that waits longest: one that asks for many delays its own only. Who asked longer
-- ago than the given seconds has given up.
select distinct on (tenant_id) tenant_id, export_id, after_seq
  from audit_export
 where answered_at is null and asked_at > clock_timestamp() - make_interval(secs => %(seconds)s)
 order by tenant_id, asked_at

-- name: answer
-- The signed header; or that there are no such entries.
update audit_export set header = %(header)s, answered_at = clock_timestamp()
 where export_id = %(export)s and tenant_id = %(tenant)s and answered_at is null
