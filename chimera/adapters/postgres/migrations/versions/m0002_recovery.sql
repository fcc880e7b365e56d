-- What recovery needs to know.

-- Attempts whose agent ended without staging: such a task runs alone from then on, since it may be what ends agents.
alter table task add column lost smallint not null default 0;

-- The memory of the broker that a message was put into. Another one has forgotten it: it is sent again.
alter table plan add column epoch text;
alter table wave add column epoch text;

-- Results that came after their lease was over: they change nothing, and are on record.
create table stale_result (
    tenant_id      text not null,
    plan_id        uuid not null,
    task_id        uuid not null,
    attempt        smallint not null,
    agent_id       uuid not null,
    lease_token    uuid not null,
    result_sha256  bytea not null,
    refused_at     timestamptz not null default clock_timestamp(),
    primary key (task_id, lease_token, tenant_id)
);
create index stale_result_of_plan on stale_result (plan_id, tenant_id);
alter table stale_result enable row level security;
alter table stale_result force row level security;
create policy stale_result_of_tenant on stale_result using (tenant_id = (select current_tenant()));

grant update (epoch) on plan, wave to chimera_app;
grant select (epoch), update (epoch) on plan to chimera_judge;
grant update (lost) on task to chimera_judge;
grant insert on stale_result to chimera_worker;
grant select (tenant_id, task_id, lease_token) on stale_result to chimera_worker;
grant select (sha256) on result to chimera_worker;
grant select on stale_result to chimera_app, chimera_judge;
