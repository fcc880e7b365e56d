-- name: due
-- Tenants that need a checkpoint, of all: one was made and not kept, or there are entries after the last, or its key is
-- no longer the one that signs.
select h.tenant_id
  from audit_head h
  left join lateral (select seq, key_id, made_at, kept_at from audit_checkpoint c
                      where c.tenant_id = h.tenant_id order by number desc limit 1) c on true
 where h.seq > 0
   and (c.seq is null or c.kept_at is null or c.key_id is distinct from %(key)s
        or (h.seq <> c.seq and c.made_at < clock_timestamp() - make_interval(secs => %(seconds)s)))
 order by c.made_at nulls first

-- name: numbers
-- Each tenant's latest number, of all: one look into the index for each.
select h.tenant_id, c.number
  from audit_head h
 cross join lateral (select number from audit_checkpoint c
                      where c.tenant_id = h.tenant_id order by number desc limit 1) c

-- name: head
-- The end of the tenant's chain.
select seq, hash from audit_head where tenant_id = %(tenant)s

-- name: entry
-- One entry's hash.
select hash from audit where tenant_id = %(tenant)s and seq = %(seq)s

-- name: last
-- The tenant's latest checkpoint.
select body from audit_checkpoint where tenant_id = %(tenant)s order by number desc limit 1

-- name: after
-- The tenant's checkpoints above a number, in order.
select body from audit_checkpoint where tenant_id = %(tenant)s and number > %(number)s order by number

-- name: add
-- A checkpoint of an entry that is there with this hash, unless another one has its number.
insert into audit_checkpoint (tenant_id, number, seq, entry_at, key_id, body)
select tenant_id, %(number)s, seq, at, %(key)s, %(body)s
  from audit where tenant_id = %(tenant)s and seq = %(seq)s and hash = %(hash)s
    on conflict do nothing
returning number

-- name: mark_kept
-- Every place keeps these.
update audit_checkpoint set kept_at = clock_timestamp()
 where tenant_id = %(tenant)s and number <= %(number)s and kept_at is null
