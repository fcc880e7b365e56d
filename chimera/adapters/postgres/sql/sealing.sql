-- name: unsealed
-- The first entry that no checkpoint covers which every place keeps, if it is older than the given seconds. The times let
-- PostgreSQL leave out what is older than the checkpoint.
with sealed as (select seq, entry_at from audit_checkpoint
                 where tenant_id = %(tenant)s and kept_at is not null order by number desc limit 1)
select a.seq, a.at from audit a
 where a.tenant_id = %(tenant)s and a.seq = coalesce((select seq from sealed), 0) + 1
   and a.at >= coalesce((select entry_at from sealed), '-infinity')
   and a.at <= clock_timestamp() - make_interval(secs => %(seconds)s)
