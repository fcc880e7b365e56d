-- What a default's floor says, beside its rules: those that are there have none.
alter table policy
    -- Whether it has one, so that decisions name it without reading the policy.
    add column has_floor boolean not null default false,
    -- Tenants whose code no process runs that holds everybody's logins; '*' is all.
    add column isolated text[] not null default '{}';

-- Whether the default in force names this tenant.
create function is_isolated() returns boolean language sql stable security definer set search_path = public, pg_temp
begin atomic
    select coalesce((select p.isolated && array['*', current_tenant()] from policy p
                      where p.tenant_id = '*' order by p.number desc limit 1), false);
end;
select give_to_writer('is_isolated()', 'chimera_app', 'chimera_judge');

-- Whether the process that asks may run this tenant's skills and planners: it has said in this transaction that it runs
-- them in hosts, as `adapters/postgres/database.py` does, or has logins that are the tenant's alone. One that says
-- nothing, as those of earlier releases do, runs them itself.
create function may_run_code() returns boolean language sql stable set search_path = public, pg_temp
    return is_bound() or coalesce(current_setting('chimera.isolation', true), '') = 'host' or not is_isolated();
