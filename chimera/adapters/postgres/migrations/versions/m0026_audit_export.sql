-- Exports that wait to be sealed: who exports has no key, and asks the process that has it.
create table audit_export (
    tenant_id    text not null references tenant,
    export_id    uuid not null,
    -- The last entry before those that are wanted.
    after_seq    bigint not null check (after_seq >= 0),
    asked_at     timestamptz not null default clock_timestamp(),
    answered_at  timestamptz,
    -- JSON, signed; null in an answer: there are no such entries.
    header       text,
    primary key (export_id, tenant_id)
);
create index audit_export_asked on audit_export (tenant_id, asked_at) where answered_at is null;
alter table audit_export enable row level security;
alter table audit_export force row level security;
create policy audit_export_of_tenant on audit_export using (tenant_id = (select current_tenant()));
-- Who seals looks for what was asked for among all tenants.
create policy audit_export_for_sealing on audit_export for select to chimera_seal using (true);

grant select, insert (tenant_id, export_id, after_seq) on audit_export to chimera_app;
grant select, update (header, answered_at) on audit_export to chimera_seal;
