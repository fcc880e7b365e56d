-- Sessions: plans that belong together, and whether the next one may start, waits, or is refused.

-- The first plan that names a session makes it. No plan refers to it by a foreign key: the release before this one stores plans
-- without it, and the next plan of that session makes it then.
create table session (
    tenant_id   text not null references tenant,
    session_id  text not null check (length(session_id) <= 200),
    state       text not null default 'open' check (state in ('open', 'paused', 'stopped')),
    opened_at   timestamptz not null default clock_timestamp(),
    opened_by   text not null,
    -- When its state was changed last, and by whom.
    changed_at  timestamptz,
    changed_by  text,
    primary key (tenant_id, session_id),
    check ((changed_at is null) = (changed_by is null)),
    check (state = 'open' or changed_at is not null)
);
create index session_of_tenant on session (tenant_id, opened_at);
alter table session enable row level security;

-- Those of the plans that are there. The owner speaks for no tenant here and would see none of them.
alter table plan no force row level security;
insert into session (tenant_id, session_id, opened_at, opened_by)
select tenant_id, session_id, min(submitted_at), 'app' from plan where session_id is not null group by tenant_id, session_id;
alter table plan force row level security;

alter table session force row level security;
create policy session_of_tenant on session using (tenant_id = (select current_tenant()));

-- A session that was stopped stays so, and what it was opened as stays.
create trigger session_stays before update on session for each row
    when (old.state = 'stopped'
          or (new.tenant_id, new.session_id, new.opened_at, new.opened_by)
             is distinct from (old.tenant_id, old.session_id, old.opened_at, old.opened_by))
    execute function refuse_change();
create trigger session_kept before delete or truncate on session
    for each statement execute function refuse_change();

-- Who submits records what becomes of sessions, too.
alter policy audit_by_app on audit
    with check (kind like 'plan.%' or kind like 'session.%' or kind in ('access.refused', 'audit.read'));

grant select, insert on session to chimera_app;
grant update (state, changed_at, changed_by) on session to chimera_app;
