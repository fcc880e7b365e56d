-- Pausing plans, and trying again what failed.

-- A pause is beside the state: while it lasts nothing of the plan starts, and what runs goes on to its end.
alter table plan
    add column paused_at timestamptz,
    add column paused_by text,
    -- The plan whose tasks (or, where it had none, whose request) this one tries again.
    add column retry_of uuid,
    add check ((paused_at is null) = (paused_by is null));

create index plan_of_session on plan (tenant_id, session_id, plan_id) where session_id is not null;
-- What can be cancelled or paused, of a session or a tenant.
create index plan_open_of_tenant on plan (tenant_id, session_id, plan_id)
    where state in ('submitted', 'planning', 'running', 'in_review');
create index plan_retry_of on plan (retry_of, tenant_id) where retry_of is not null;
-- Which tasks have been tried again. No update touches the column: it costs the others nothing.
create index task_parent on task (parent_task_id, tenant_id) where parent_task_id is not null;

grant update (paused_at, paused_by) on plan to chimera_app;
grant select (paused_at) on plan to chimera_worker, chimera_judge;
