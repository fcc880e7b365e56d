-- The process that seals the audit has a login of its own: it reads where each chain ends, and notes checkpoints. The
-- Judge keeps what tells it whether a tenant's audit is sealed, and can no longer say so itself.
grant execute on function current_tenant() to chimera_seal;

-- Of an entry its place, time and hash: what was done, and by whom, is not the sealer's to read.
grant select (tenant_id, seq, at, hash) on audit to chimera_seal;
grant select on audit_head to chimera_seal;
grant select, insert (tenant_id, number, seq, entry_at, key_id, body), update (kept_at) on audit_checkpoint to chimera_seal;

alter policy audit_head_for_sweep on audit_head to chimera_seal;
alter policy audit_head_for_sweep on audit_head rename to audit_head_for_sealing;
alter policy audit_checkpoint_for_sweep on audit_checkpoint to chimera_seal;
alter policy audit_checkpoint_for_sweep on audit_checkpoint rename to audit_checkpoint_for_sealing;

revoke insert, update (kept_at), select on audit_checkpoint from chimera_judge;
grant select (tenant_id, number, seq, entry_at, kept_at) on audit_checkpoint to chimera_judge;
