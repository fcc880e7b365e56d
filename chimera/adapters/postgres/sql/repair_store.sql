-- name: lock_head
-- Where the tenant's chain is said to end, locked; and the time.
select seq, hash, clock_timestamp() as now from audit_head where tenant_id = %(tenant)s for update

-- name: repairs
-- The entries about earlier repairs.
select seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, uuid_send(plan_id) as plan_id,
       uuid_send(task_id) as task_id, body, payload, hash
  from audit
 where tenant_id = %(tenant)s and kind = 'audit.repaired'

-- name: entries
-- The next entries after a sequence; ids as bytes, times as far as they can be read.
select seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, uuid_send(plan_id) as plan_id,
       uuid_send(task_id) as task_id, body, payload, hash
  from audit
 where tenant_id = %(tenant)s and seq > %(after)s
 order by seq
 limit %(limit)s

-- name: append
-- The record of a repair, behind the last entry that is there: the head moves to it from wherever it was.
insert into audit (tenant_id, seq, at, kind, actor, body, payload, hash)
values (%(tenant)s, %(seq)s, %(at)s, %(kind)s, %(actor)s, %(body)s, %(payload)s, %(hash)s)
