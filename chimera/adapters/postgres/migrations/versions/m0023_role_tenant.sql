-- Logins that are one tenant's, whatever they say: `chimera tenant credentials`.

create table role_tenant (
    -- Names that begin so are kept for this table: a role of such a name that is not in it speaks for nobody.
    role           name primary key check (role::text ~ '^chimera_(app|worker)_.'),
    tenant_id      text not null references tenant,
    -- Of the password of the tenant's user at the broker, as its ACL takes it: a broker that has lost its users gets them
    -- back from here.
    broker_sha256  text not null check (broker_sha256 ~ '^[0-9a-f]{64}$')
);
alter table role_tenant enable row level security;
alter table role_tenant force row level security;
-- Not the tenant's to see: the policy of a table cannot ask which tenant it is, where the answer comes from that table.
create policy role_tenant_of_owner on role_tenant to current_user using (true);
create policy role_tenant_of_writer on role_tenant for select to chimera_writer using (true);
grant select on role_tenant to chimera_writer;

-- The tenant of this login, whose name begins as those of bound logins do; null where no row says so, or no longer.
create function bound_tenant() returns text language sql stable parallel safe security definer
    set search_path = public, pg_temp
    return (select r.tenant_id from role_tenant r where r.role = session_user);
-- Everybody's to call, as it is part of each policy: it tells a login its own tenant.

-- Those tenants, with what their users at the broker are made from.
create function bound_tenants() returns table (tenant_id text, broker_sha256 text) language sql stable security definer
    set search_path = public, pg_temp
begin atomic
    select distinct r.tenant_id, r.broker_sha256 from role_tenant r order by 1;
end;
select give_to_writer('bound_tenants()', 'chimera_judge');

-- Whether this login is bound, by its name.
create function is_bound() returns boolean language sql stable parallel safe
    return starts_with(session_user::text, 'chimera_worker_') or starts_with(session_user::text, 'chimera_app_');

-- The tenant that the current transaction speaks for. A bound login speaks for its tenant; any other for the one that it
-- has set with set_config('chimera.tenant', ..., true), and where it has set none no row of any tenant is seen. It is
-- session_user that counts: SET ROLE does not change it, nor does a function that runs as its owner. Without a SET, so that
-- PostgreSQL puts the expression into the statement that asks: its names were looked up when it was made.
create or replace function current_tenant() returns text language sql stable parallel safe
    return case when is_bound() then bound_tenant() else nullif(current_setting('chimera.tenant', true), '') end;
alter function current_tenant() reset all;

-- What workers declare is everybody's; what bound ones declare is theirs, and changes nothing for others. Null: everybody's.
alter table skill add column tenants text[];
alter table planner add column tenants text[];
grant select (name, fingerprint, tenants), update (tenants) on skill, planner to chimera_writer;

create function declare_for_tenant() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    bound  text;
    known  text[];
    is_there boolean;
begin
    if not is_bound() then
        new.tenants := null;
        return new;
    end if;
    bound := bound_tenant();
    if bound is null then
        raise insufficient_privilege using message = 'this login is no tenant''s any more';
    end if;
    if tg_op = 'UPDATE' then
        return case when old.tenants = array[bound] then new end;
    end if;
    execute format('select tenants, true from %I where name = $1 and fingerprint = $2 for update', tg_table_name)
       into known, is_there using new.name, new.fingerprint;
    if is_there is null then
        new.tenants := array[bound];
        return new;
    end if;
    if known = array[bound] then
        return new;
    end if;
    -- Everybody's, or of others' workers too: it stays as it is, and this tenant sees it.
    execute format('update %I set tenants = tenants || $1
                     where name = $2 and fingerprint = $3 and not $1 = any (tenants)', tg_table_name)
      using bound, new.name, new.fingerprint;
    return null;
end
$$;
select give_to_writer('declare_for_tenant()', variadic '{}');
create trigger skill_for_tenant before insert on skill for each row execute function declare_for_tenant();
create trigger planner_for_tenant before insert on planner for each row execute function declare_for_tenant();
create trigger skill_of_tenant before update on skill for each row
    when (old.tenants is not distinct from new.tenants) execute function declare_for_tenant();
create trigger planner_of_tenant before update on planner for each row
    when (old.tenants is not distinct from new.tenants) execute function declare_for_tenant();

do $$
declare
    table_name text;
begin
    foreach table_name in array array['skill', 'planner'] loop
        execute format('alter table %I enable row level security', table_name);
        execute format('alter table %I force row level security', table_name);
        execute format('create policy %I on %I using (true)', table_name || '_of_all', table_name);
        execute format('create policy %I on %I as restrictive for select
                            to chimera_app, chimera_worker, chimera_judge, chimera_review
                        using (tenants is null or (select current_tenant()) = any (tenants)
                               or (select current_tenant()) is null and not is_bound())',
                       table_name || '_of_tenant', table_name);
    end loop;
end
$$;
