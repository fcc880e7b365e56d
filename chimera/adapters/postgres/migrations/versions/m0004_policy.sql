-- Policies: what the gate asks, version by version. Nothing of them is ever changed or deleted.

create table policy (
    -- '*' is the default of all tenants that have none of their own.
    tenant_id   text not null check (tenant_id = '*' or tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    number      integer not null check (number >= 1),
    name        text not null,
    -- Canonical JSON, and its hash: decisions name both.
    body        text not null,
    sha256      bytea not null check (sha256 = sha256(convert_to(body, 'UTF8'))),
    applied_at  timestamptz not null default clock_timestamp(),
    applied_by  text not null,
    primary key (tenant_id, number)
);
alter table policy enable row level security;
alter table policy force row level security;
create policy policy_of_tenant on policy using (tenant_id = (select current_tenant()));
create policy policy_of_all on policy for select using (tenant_id = '*');

create function refuse_policy_change() returns trigger language plpgsql as $$
begin
    raise exception 'policies are kept as they were applied' using errcode = 'insufficient_privilege';
end
$$;
create trigger policy_append_only before update or delete or truncate on policy
    for each statement execute function refuse_policy_change();

-- Who asks a model about the wave's results, so that it is asked once.
alter table wave add column asked_by uuid, add column asked_until timestamptz;

grant select on policy to chimera_app, chimera_judge;
