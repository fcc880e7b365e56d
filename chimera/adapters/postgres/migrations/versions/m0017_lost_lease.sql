-- Attempts that were lost with their agent, each with who held its lease; and when each attempt was taken.

-- By the database's clock; null in attempts from before. The statements that claim and stage write them, so that no row is
-- written once more. No update touches an indexed column: they stay on the page.
alter table task add column claimed_at timestamptz;
alter table result add column claimed_at timestamptz;

-- The task's row names its latest agent only: what a lease was is kept here when it is lost. Ids and times, no contents:
-- there is nothing to erase.
create table lost_lease (
    tenant_id   text not null,
    task_id     uuid not null,
    attempt     smallint not null check (attempt >= 1),
    agent_id    uuid not null,
    claimed_at  timestamptz,
    lost_at     timestamptz not null default clock_timestamp(),
    primary key (task_id, attempt, tenant_id)
);
alter table lost_lease enable row level security;
alter table lost_lease force row level security;
create policy lost_lease_of_tenant on lost_lease using (tenant_id = (select current_tenant()));
create trigger lost_lease_stays before update or delete or truncate on lost_lease
    for each statement execute function refuse_change();

-- A result is changed only by being erased: that holds for its new column, too.
drop trigger result_erased on result;
create trigger result_erased before update on result for each row
    when (new.outcome is not null or old.erased_at is not null
          or (new.tenant_id, new.task_id, new.attempt, new.agent_id, new.sha256, new.tokens, new.cost_usd, new.started_at,
              new.finished_at, new.claimed_at)
             is distinct from
             (old.tenant_id, old.task_id, old.attempt, old.agent_id, old.sha256, old.tokens, old.cost_usd, old.started_at,
              old.finished_at, old.claimed_at))
    execute function refuse_change();

grant update (claimed_at) on task to chimera_worker;
-- The sweep takes leases back, the Judge ends what was lost for the last time: both are the role `judge`.
grant insert (tenant_id, task_id, attempt, agent_id, claimed_at) on lost_lease to chimera_judge;
grant select on lost_lease to chimera_app;
