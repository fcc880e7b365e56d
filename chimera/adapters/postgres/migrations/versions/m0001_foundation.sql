-- The foundation: roles, tables, the rules that the database itself enforces, row-level security, grants.
-- PostgreSQL 15 and later. The schema's words are those of docs/architecture.md.

-- ---------------------------------------------------------------------------------------------------
-- Roles belong to the cluster, not to this database: make those that are missing, without a login.
-- `chimera db upgrade` gives each the login and password of its CHIMERA_<ROLE>_DATABASE_URL.
-- ---------------------------------------------------------------------------------------------------
do $$
declare
    role_name text;
begin
    foreach role_name in array array['chimera_app', 'chimera_worker', 'chimera_judge'] loop
        -- Who may not make roles may not try either, though somebody else has made them.
        continue when exists (select from pg_roles where rolname = role_name);
        begin
            execute format('create role %I nologin', role_name);
        exception when duplicate_object or unique_violation then
            null;  -- another database of this cluster made it, perhaps just now
        end;
    end loop;
end
$$;

-- The tenant that the current transaction speaks for. Set with set_config('chimera.tenant', ..., true);
-- where it is not set no row of any tenant is seen.
create function current_tenant() returns text
    language sql stable parallel safe
    return nullif(current_setting('chimera.tenant', true), '');

-- ---------------------------------------------------------------------------------------------------
-- Tables. Keys begin with the id, which is unique over all tenants, and end with the tenant, which row-level
-- security asks for: behind an index that begins with the tenant the planner, before it has statistics, would
-- read all of the tenant's rows to find a few.
-- ---------------------------------------------------------------------------------------------------
create table tenant (
    tenant_id   text primary key check (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at  timestamptz not null default clock_timestamp()
);

create table plan (
    tenant_id        text not null references tenant,
    plan_id          uuid not null,
    session_id       text,
    planner          text not null,
    goal             text not null,
    inputs           json not null,
    priority         smallint not null check (priority between 0 and 100),
    deadline         timestamptz,
    idempotency_key  text,
    -- Of the request's canonical JSON: the same key with another request is a conflict.
    request_sha256   bytea not null,
    trace_id         text not null,
    state            text not null default 'submitted' check (state in (
                         'submitted', 'planning', 'running', 'in_review', 'stopping',
                         'completed', 'failed', 'cancelled', 'expired')),
    -- Why a stopping plan stops and so how it ends.
    stop_state       text check (stop_state in ('cancelled', 'expired')),
    stopped_by       text,
    failure          json,
    task_count       integer not null default 0,
    -- The audit sequence of plan.submitted: the plan's events start here.
    first_audit_seq  bigint not null,
    planner_attempt  smallint not null default 0,
    lease_token      uuid,
    lease_until      timestamptz,
    published_at     timestamptz,
    submitted_at     timestamptz not null,
    finished_at      timestamptz,
    primary key (plan_id, tenant_id),
    check (state <> 'stopping' or stop_state is not null),
    check ((state in ('completed', 'failed', 'cancelled', 'expired')) = (finished_at is not null))
);
create unique index plan_idempotency_key on plan (tenant_id, idempotency_key) where idempotency_key is not null;
create index plan_of_tenant on plan (tenant_id, plan_id);
-- What the sweep looks at: plans that have not ended are few beside those that have.
create index plan_open on plan (state, submitted_at)
    where state in ('submitted', 'planning', 'running', 'in_review', 'stopping');

-- A wave is the unit of fan-out: one Celery chord. Its row is the outbox entry of that chord.
create table wave (
    tenant_id         text not null,
    plan_id           uuid not null,
    wave_no           integer not null,
    priority          smallint not null,
    has_dependencies  boolean not null,
    state             text not null default 'waiting' check (state in ('waiting', 'in_flight', 'closed')),
    task_count        integer not null check (task_count >= 1),
    approved          integer not null default 0,
    denied            integer not null default 0,
    exhausted         integer not null default 0,
    cancelled         integer not null default 0,
    in_review         integer not null default 0,
    -- Null while the chord of an in-flight wave is still to be sent.
    published_at      timestamptz,
    publish_count     integer not null default 0,
    touched_at        timestamptz not null default clock_timestamp(),
    primary key (plan_id, wave_no, tenant_id),
    foreign key (plan_id, tenant_id) references plan,
    check (approved + denied + exhausted + cancelled + in_review <= task_count),
    check ((state = 'closed') = (approved + denied + exhausted + cancelled + in_review = task_count))
) with (fillfactor = 70);
create index wave_waiting on wave (tenant_id, priority desc, plan_id, wave_no) where state = 'waiting';
create index wave_in_flight on wave (touched_at) where state = 'in_flight';

create table task (
    tenant_id        text not null,
    plan_id          uuid not null,
    wave_no          integer not null,
    ordinal          integer not null,
    task_id          uuid not null,
    parent_task_id   uuid,
    skill            text not null,
    input            json not null,
    -- What a right output holds, where the submitter knows it; no skill and no rule ever sees it.
    label            json,
    priority         smallint not null,
    timeout_seconds  real not null check (timeout_seconds > 0),
    max_attempts     smallint not null check (max_attempts >= 1),
    attempt          smallint not null default 0 check (attempt between 0 and max_attempts),
    depends_on       uuid[],
    state_key        text,
    state_version    bigint,
    state            text not null default 'queued' check (state in (
                         'queued', 'running', 'staged', 'in_review',
                         'approved', 'denied', 'exhausted', 'cancelled', 'expired')),
    agent_id         uuid,
    lease_token      uuid,
    lease_until      timestamptz,
    -- The reasons of the denial that sent the task back to the queue.
    feedback         json,
    primary key (task_id, tenant_id),
    check (state <> 'running' or (lease_token is not null and lease_until is not null))
) with (fillfactor = 60);  -- three updates a task, none of an indexed column: they stay on the page
create unique index task_in_wave on task (plan_id, wave_no, ordinal, tenant_id);

create function refuse_task_transition() returns trigger language plpgsql as $$
begin
    raise exception 'task % cannot go from % to %', old.task_id, old.state, new.state using errcode = 'check_violation';
end
$$;

-- The allowed transitions; chimera/models/work/task.py holds the same table and a test compares the two.
create trigger task_transition before update of state on task for each row
    when (old.state is distinct from new.state and (old.state, new.state) not in (
        ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'expired'),
        ('running', 'staged'), ('running', 'queued'), ('running', 'exhausted'),
        ('running', 'cancelled'), ('running', 'expired'),
        ('staged', 'approved'), ('staged', 'denied'), ('staged', 'in_review'), ('staged', 'queued'),
        ('staged', 'exhausted'), ('staged', 'cancelled'), ('staged', 'expired'),
        ('in_review', 'approved'), ('in_review', 'denied'), ('in_review', 'cancelled'), ('in_review', 'expired')))
    execute function refuse_task_transition();

-- What a worker staged. The hash is of the stored bytes: the database refuses any other.
create table result (
    tenant_id    text not null,
    task_id      uuid not null,
    attempt      smallint not null,
    agent_id     uuid not null,
    outcome      json not null,
    sha256       bytea not null check (sha256 = sha256(convert_to(outcome::text, 'UTF8'))),
    tokens       bigint not null default 0 check (tokens >= 0),
    cost_usd     numeric not null default 0 check (cost_usd >= 0),
    started_at   timestamptz not null,
    finished_at  timestamptz not null,
    primary key (task_id, attempt, tenant_id)
);

-- The record, one hash chain per tenant: hash = sha256(previous hash || body). audit_head holds its end.
create table audit (
    tenant_id  text not null,
    seq        bigint not null check (seq >= 1),
    at         timestamptz not null,
    kind       text not null,
    actor      text not null,
    plan_id    uuid,
    task_id    uuid,
    body       text not null,
    hash       bytea not null check (length(hash) = 32),
    primary key (tenant_id, seq)
);

create table audit_head (
    tenant_id  text primary key references tenant,
    seq        bigint not null default 0,
    hash       bytea not null default decode(repeat('00', 32), 'hex')
) with (fillfactor = 20);

create table decision (
    tenant_id       text not null,
    task_id         uuid not null,
    attempt         smallint not null,
    verdict         text not null check (verdict in ('approve', 'deny', 'hitl')),
    -- Of the result that was judged; empty where a task ended without one.
    result_sha256   bytea not null,
    -- Does this end the task? A denial that sends it back and a referral to a person do not.
    final           boolean not null,
    reasons         json not null,
    policy_version  text not null,
    decided_by      text not null,
    decided_at      timestamptz not null,
    audit_seq       bigint not null,
    primary key (task_id, attempt, verdict, result_sha256, tenant_id),
    check (verdict <> 'approve' or final),
    check (verdict <> 'hitl' or not final)
);
-- Exactly one final decision a task, whatever runs twice.
create unique index decision_final on decision (task_id, tenant_id) where final;

-- A commit needs the approving decision on the very bytes that it commits.
create table commit (
    tenant_id      text not null,
    task_id        uuid not null,
    attempt        smallint not null,
    verdict        text not null default 'approve' check (verdict = 'approve'),
    result_sha256  bytea not null,
    state_key      text,
    state_version  bigint,
    committed_at   timestamptz not null,
    primary key (task_id, tenant_id)
);

-- Shared state: what the tenant's tasks have agreed on. Only an approving decision changes it.
create table state (
    tenant_id   text not null,
    key         text not null,
    value       json not null,
    version     bigint not null check (version >= 1),
    task_id     uuid not null,
    changed_at  timestamptz not null,
    primary key (tenant_id, key),
    foreign key (task_id, tenant_id) references commit deferrable initially deferred
);

create table review_card (
    tenant_id         text not null,
    card_id           uuid not null,
    plan_id           uuid not null,
    task_id           uuid not null,
    attempt           smallint not null,
    skill             text not null,
    result_sha256     bytea not null,
    reasons           json not null,
    confidence        double precision,
    policy_version    text not null,
    status            text not null default 'pending' check (status in
                          ('pending', 'approved', 'edited', 'denied', 'expired', 'cancelled')),
    version           integer not null default 1,
    claimed_by        text,
    claim_expires_at  timestamptz,
    due_at            timestamptz,
    decided_by        text,
    decided_at        timestamptz,
    note              text,
    opened_at         timestamptz not null,
    primary key (card_id, tenant_id),
    foreign key (task_id, attempt, tenant_id) references result,
    check ((status = 'pending') = (decided_at is null)),
    check (status not in ('approved', 'edited', 'denied') or decided_by is not null)
);
create unique index review_card_of_task on review_card (task_id, attempt, tenant_id);
create index review_card_of_tenant on review_card (tenant_id, card_id);
create index review_card_pending on review_card (tenant_id, plan_id) where status = 'pending';

-- ---------------------------------------------------------------------------------------------------
-- References of the tables that every task writes to. They are what foreign keys would be, checked for a
-- whole statement at once: a foreign key costs 14 to 22 us a row, five of them as much as all other work on
-- a task (docs/performance.md). What they refer to is never deleted: no role may. Scalar
-- subqueries and no sequential scan: a plan that is made while the tables are empty, and kept, has to look each
-- row up by its key. Temporary tables last in the search path: none may stand in for the real one.
-- ---------------------------------------------------------------------------------------------------
create function refuse_dangling(what text) returns void language plpgsql as $$
begin
    raise exception '%', what using errcode = 'foreign_key_violation';
end
$$;

create function task_needs_wave() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from wave w where w.tenant_id = n.tenant_id and w.plan_id = n.plan_id and w.wave_no = n.wave_no) is null)
    then perform refuse_dangling('a task needs the wave that it names'); end if;
    return null;
end
$$;
create trigger task_needs_wave after insert on task
    referencing new table as new_rows for each statement execute function task_needs_wave();

create function result_needs_task() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from task t where t.tenant_id = n.tenant_id and t.task_id = n.task_id and t.attempt = n.attempt) is null)
    then perform refuse_dangling('a result needs the task and the attempt that it names'); end if;
    return null;
end
$$;
create trigger result_needs_task after insert on result
    referencing new table as new_rows for each statement execute function result_needs_task();

create function decision_needs_audit() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from audit a where a.tenant_id = n.tenant_id and a.seq = n.audit_seq and a.task_id = n.task_id
                              and a.kind = 'task.decided') is null)
    then perform refuse_dangling('a decision needs its audit entry'); end if;
    if exists (select from new_rows n where n.result_sha256 <> '' and (
        select 1 from result r where r.tenant_id = n.tenant_id and r.task_id = n.task_id and r.attempt = n.attempt
                               and r.sha256 = n.result_sha256) is null)
    then perform refuse_dangling('a decision needs the result that it names'); end if;
    return null;
end
$$;
create trigger decision_needs_audit after insert on decision
    referencing new table as new_rows for each statement execute function decision_needs_audit();

create function commit_needs_approval() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from decision d where d.tenant_id = n.tenant_id and d.task_id = n.task_id and d.attempt = n.attempt
                                 and d.verdict = 'approve' and d.result_sha256 = n.result_sha256) is null)
    then perform refuse_dangling('a commit needs an approving decision on the very result that it names'); end if;
    return null;
end
$$;
create trigger commit_needs_approval after insert on commit
    referencing new table as new_rows for each statement execute function commit_needs_approval();

-- ---------------------------------------------------------------------------------------------------
-- The audit is append-only for everybody, the owner included.
-- ---------------------------------------------------------------------------------------------------
create function refuse_audit_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function refuse_audit_change();

-- ---------------------------------------------------------------------------------------------------
-- Row-level security, forced, on every table that has tenant_id.
-- ---------------------------------------------------------------------------------------------------
do $$
declare
    table_name text;
begin
    foreach table_name in array array['tenant', 'plan', 'wave', 'task', 'result', 'audit', 'audit_head',
                                      'decision', 'commit', 'state', 'review_card'] loop
        execute format('alter table %I enable row level security', table_name);
        execute format('alter table %I force row level security', table_name);
        execute format('create policy %I on %I using (tenant_id = (select current_tenant()))',
                       table_name || '_of_tenant', table_name);
    end loop;
end
$$;
-- The owner adds tenants and lists them.
create policy tenant_of_owner on tenant to current_user using (true);
-- The sweep must find work of every tenant: it sees plans and waves, but (by the column grants below)
-- neither goal nor inputs, and to act on one it has to speak for that tenant.
create policy plan_for_sweep on plan for select to chimera_judge using (true);
create policy wave_for_sweep on wave for select to chimera_judge using (true);
-- A worker moves queued tasks to running, and running ones to staged. Their end is a decision's.
create policy task_by_worker on task as restrictive for update to chimera_worker
    using (state in ('queued', 'running')) with check (state in ('queued', 'running', 'staged'));
-- Who submits may record what becomes of plans, and no decision.
create policy audit_by_app on audit as restrictive for insert to chimera_app with check (kind like 'plan.%');

-- ---------------------------------------------------------------------------------------------------
-- Grants: what each role may do. A worker's credentials cannot write a decision, an audit row or a commit.
-- ---------------------------------------------------------------------------------------------------
grant execute on function current_tenant(), refuse_dangling(text) to chimera_app, chimera_worker, chimera_judge;

-- app submits, plans and reads.
grant select on tenant, plan, wave, task, result, audit, audit_head, decision, commit, state, review_card to chimera_app;
grant insert on plan, wave, task, audit to chimera_app;
grant update (state, stop_state, stopped_by, failure, task_count, planner_attempt, lease_token, lease_until,
              published_at, finished_at) on plan to chimera_app;
grant update (state, published_at, publish_count, touched_at) on wave to chimera_app;
grant update (seq, hash) on audit_head to chimera_app;

-- worker claims and stages.
grant select (tenant_id, plan_id, state, deadline) on plan to chimera_worker;
grant select on task to chimera_worker;
grant select on state to chimera_worker;
grant update (state, attempt, agent_id, lease_token, lease_until, state_version) on task to chimera_worker;
grant select (tenant_id, task_id, attempt), insert on result to chimera_worker;

-- judge decides, commits and sweeps. It reads no plan's goal or inputs.
grant select (tenant_id, plan_id, planner, priority, deadline, state, stop_state, stopped_by, task_count, planner_attempt,
              lease_until, published_at, submitted_at, finished_at, trace_id) on plan to chimera_judge;
grant update (state, stop_state, stopped_by, lease_token, lease_until, published_at, finished_at) on plan to chimera_judge;
grant select, update on wave to chimera_judge;
grant select on task, result to chimera_judge;
grant update (state, feedback, lease_token, lease_until) on task to chimera_judge;
grant select, insert on audit, decision, commit to chimera_judge;
grant select, update (seq, hash) on audit_head to chimera_judge;
grant select, insert, update on state to chimera_judge;
grant select, insert, update on review_card to chimera_judge;
