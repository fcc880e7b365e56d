-- name: lock_head
-- The end of the tenant's chain, locked until the transaction ends (the last lock of every transaction), and the time of
-- what is recorded under it.
select seq, at from lock_audit_head()

-- name: append
-- Entries at the chain's end: the database sets their time and computes their hashes.
select before, moment
  from append_audit(%(kinds)b::text[], %(actors)b::text[], %(plans)b::uuid[], %(tasks)b::uuid[], %(payloads)b::text[])
