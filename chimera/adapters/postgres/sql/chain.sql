-- name: lock_head
-- The end of the tenant's chain, locked until the transaction ends: the last lock of every transaction.
select seq, hash from audit_head where tenant_id = %(tenant)s for update

-- name: time
-- The database's clock, read with the head locked, so that times rise along the chain.
select clock_timestamp() as at

-- name: append
-- Entries at the chain's end, which moves with them.
insert into audit (tenant_id, seq, at, kind, actor, plan_id, task_id, body, payload, hash)
select %(tenant)s, r.seq, %(at)s, r.kind, r.actor, r.plan_id, r.task_id, r.body, r.payload, r.hash
  from unnest(%(seqs)b::bigint[], %(kinds)b::text[], %(actors)b::text[], %(plans)b::uuid[], %(tasks)b::uuid[],
              %(bodies)b::text[], %(payloads)b::text[], %(hashes)b::bytea[])
       as r (seq, kind, actor, plan_id, task_id, body, payload, hash)
