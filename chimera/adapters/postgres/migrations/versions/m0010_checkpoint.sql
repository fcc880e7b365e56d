-- What proves the audit. Checkpoints: what was signed, and whether every place outside of the database keeps it. A row is the
-- outbox entry of its checkpoint; what proves anything is the copy outside.

-- What happened, beside the hashed text that holds its SHA-256: it can be erased, and stays proved. Entries from before
-- have it in `body`, as "facts"; which of the two an entry is, its `body` says.
alter table audit add column payload text;

create table audit_checkpoint (
    tenant_id  text not null references tenant,
    number     bigint not null check (number >= 1),
    -- The last entry that it covers, and when that was written.
    seq        bigint not null check (seq >= 1),
    entry_at   timestamptz not null,
    key_id     text not null,
    -- Canonical JSON, signature included.
    body       text not null,
    made_at    timestamptz not null default clock_timestamp(),
    -- Null while a place may not have it yet.
    kept_at    timestamptz,
    primary key (tenant_id, number)
);
alter table audit_checkpoint enable row level security;
alter table audit_checkpoint force row level security;
create policy audit_checkpoint_of_tenant on audit_checkpoint using (tenant_id = (select current_tenant()));
-- Whose audit has new entries is looked for among all tenants. Neither table has anything of an entry but its hash.
create policy audit_checkpoint_for_sweep on audit_checkpoint for select to chimera_judge using (true);
create policy audit_head_for_sweep on audit_head for select to chimera_judge using (true);

grant select on audit_checkpoint to chimera_app, chimera_judge;
grant insert, update (kept_at) on audit_checkpoint to chimera_judge;
