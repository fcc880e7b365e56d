-- A denied result goes back to its planner, which may have the task done in another way; and who committed what to
-- an entry of shared state.

alter table plan
    -- The plan's planner has a replan hook.
    add column has_replan boolean not null default false;

alter table wave
    -- When the planner is to be asked again about tasks of the wave that wait for it; null where none do.
    add column replan_at timestamptz;
create index wave_replan on wave (replan_at) where state = 'in_flight' and replan_at is not null;

alter table task
    -- How often the gate sent it back.
    add column replans smallint not null default 0 check (replans between 0 and 5),
    -- Asked: it waits for its planner, and no agent gets it. Given up, or failed: the Judge ends it.
    add column replan text check (replan in ('asked', 'given_up', 'failed')),
    -- How often the hook was started since then.
    add column replan_tries smallint not null default 0,
    -- Why the hook failed: a code, and where; never a text that it handles.
    add column replan_failure text,
    add check (replan is null or state in ('queued', 'denied', 'cancelled', 'expired'));

-- What attempts that were denied had run, where their planner changed the task after them.
create table replanned (
    tenant_id   text not null,
    task_id     uuid not null,
    attempt     smallint not null,
    skill       text not null,
    input       json not null,
    primary key (task_id, attempt, tenant_id)
);
alter table replanned enable row level security;
alter table replanned force row level security;
create policy replanned_of_tenant on replanned using (tenant_id = (select current_tenant()));

-- The allowed transitions; chimera/models/work/task.py holds the same table and a test compares the two.
drop trigger task_transition on task;
create trigger task_transition before update of state on task for each row
    when (old.state is distinct from new.state and (old.state, new.state) not in (
        ('queued', 'running'), ('queued', 'denied'), ('queued', 'cancelled'), ('queued', 'expired'),
        ('running', 'staged'), ('running', 'queued'), ('running', 'exhausted'),
        ('running', 'cancelled'), ('running', 'expired'),
        ('staged', 'approved'), ('staged', 'denied'), ('staged', 'in_review'), ('staged', 'queued'),
        ('staged', 'exhausted'), ('staged', 'cancelled'), ('staged', 'expired'),
        ('in_review', 'approved'), ('in_review', 'denied'), ('in_review', 'cancelled'), ('in_review', 'expired')))
    execute function refuse_task_transition();
-- What waits in the queue is denied only where its planner gave it up.
create trigger task_given_up before update of state on task for each row
    when (old.state = 'queued' and new.state = 'denied' and (old.replan is null or old.replan = 'asked'))
    execute function refuse_task_transition();

-- The history of an entry of shared state.
create index commit_of_state on commit (tenant_id, state_key, state_version) where state_key is not null;

-- Who plans changes a task only while it is asked about it.
create policy task_by_app on task as restrictive for update to chimera_app
    using (state = 'queued' and replan = 'asked') with check (state = 'queued');

grant update (has_replan) on plan to chimera_app;
grant select (has_replan) on plan to chimera_judge;
grant update (replan_at) on wave to chimera_app;
grant update (skill, input, timeout_seconds, lease_token, lease_until, replan, replan_tries, replan_failure)
    on task to chimera_app;
grant select, insert on replanned to chimera_app;
grant select on replanned to chimera_judge;
grant update (replan, replans, replan_tries) on task to chimera_judge;
