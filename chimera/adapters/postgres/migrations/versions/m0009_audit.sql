-- The audit by month, a person's data that can be erased, and what direct SQL could still do.

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% keeps what it has as it is', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

-- ---------------------------------------------------------------------------------------------------
-- The audit, partitioned by month (UTC). All ways to it lead through the parent: a partition has no grant, row-level
-- security without a policy, and the same refusal of every change.
-- ---------------------------------------------------------------------------------------------------
create function shut_audit_partition(partition regclass) returns void language plpgsql
    set search_path = public, pg_temp as $$
begin
    execute format('alter table %s enable row level security', partition);
    execute format('alter table %s force row level security', partition);
    execute format('create trigger audit_append_only before update or delete or truncate on %s '
                   'for each statement execute function refuse_audit_change()', partition);
end
$$;

-- What there is becomes the first partition as it is, up to the end of its last month: no row is written anew.
do $$
declare
    until timestamptz;
    earlier text;
begin
    set local timezone = 'UTC';
    -- Else the owner, who speaks for no tenant here, sees none of it.
    alter table audit no force row level security;
    until := date_trunc('month', greatest(now(), (select max(at) from audit))) + interval '1 month';
    earlier := 'audit_' || to_char(until - interval '1 day', 'YYYY_MM');
    drop policy audit_of_tenant on audit;
    drop policy audit_by_app on audit;
    drop trigger audit_append_only on audit;
    revoke all on audit from chimera_app, chimera_worker, chimera_judge;
    alter table audit drop constraint audit_pkey;
    execute format('alter table audit rename to %I', earlier);
    execute format('alter table %I add primary key (tenant_id, seq, at)', earlier);
    execute format('create table audit (like %I including defaults including constraints) partition by range (at)', earlier);
    -- A partitioned table's keys hold its partition's column. That (tenant_id, seq) alone is unique follows from the head: see
    -- audit_moves_head below.
    alter table audit add primary key (tenant_id, seq, at);
    execute format('alter table audit attach partition %I for values from (minvalue) to (%L)', earlier, until);
    perform shut_audit_partition(earlier::regclass);
end
$$;

-- The safety net: what no month takes. Empty while the months are made in time.
create table audit_default partition of audit default;
select shut_audit_partition('audit_default');

create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function refuse_audit_change();
alter table audit enable row level security;
alter table audit force row level security;
create policy audit_of_tenant on audit using (tenant_id = (select current_tenant()));
-- Who submits may record what becomes of plans, what was refused and what was read, and no decision.
create policy audit_by_app on audit as restrictive for insert to chimera_app
    with check (kind like 'plan.%' or kind in ('access.refused', 'audit.read'));
grant select, insert on audit to chimera_app, chimera_judge;

-- This month and the next three, where they are missing; the sweep asks for it. It runs with its owner's rights, takes
-- nothing from its caller, and makes nothing but empty partitions. A month of which the default partition holds entries
-- already stays there as a whole, and who reads at length is not waited for: the next call tries again.
create function make_audit_partitions() returns integer language plpgsql security definer
    set search_path = public, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '200ms' as $$
declare
    month timestamptz;
    name text;
    made integer := 0;
begin
    if to_regclass('audit_' || to_char(date_trunc('month', now()) + interval '3 months', 'YYYY_MM')) is not null
        or not pg_try_advisory_xact_lock(hashtextextended('chimera.audit_partitions', 0)) then
        return 0;
    end if;
    for later in 0..3 loop
        month := date_trunc('month', now()) + make_interval(months => later);
        name := 'audit_' || to_char(month, 'YYYY_MM');
        continue when to_regclass(name) is not null;
        begin
            -- Attached, not made in place: that would lock out everybody who reads or writes the audit.
            execute format('create table %I (like audit including defaults including constraints)', name);
            perform shut_audit_partition(name::regclass);
            execute format('alter table audit attach partition %I for values from (%L) to (%L)',
                           name, month, month + interval '1 month');
            made := made + 1;
        exception when check_violation or invalid_object_definition or lock_not_available then
            null;
        end;
    end loop;
    return made;
end
$$;
revoke execute on function make_audit_partitions(), shut_audit_partition(regclass) from public;
grant execute on function make_audit_partitions() to chimera_judge;
select make_audit_partitions();

-- Entries continue their tenant's chain without a gap, and the head moves with them: so each (tenant_id, seq) is there
-- once, over all partitions. Whoever appends first waits for the head's row, which is locked until the transaction
-- ends, and a number that the head has passed is refused. Within one statement all entries are of one tenant and one
-- time, and so the primary key keeps their numbers apart.
create function audit_moves_head() returns trigger language plpgsql
    set search_path = public, pg_temp as $$
declare
    one record;
    added record;
begin
    select tenant_id, at into one from new_rows limit 1;
    if not found then
        return null;
    end if;
    select min(seq) as first, max(seq) as last, count(*) as entries,
           count(*) filter (where tenant_id = one.tenant_id and at = one.at) as alike
      into added from new_rows;
    if added.alike = added.entries and added.last - added.first + 1 = added.entries then
        update audit_head set seq = added.last, hash = (select hash from new_rows where seq = added.last)
         where tenant_id = one.tenant_id and seq = added.first - 1;
        if found then
            return null;
        end if;
    end if;
    raise exception 'audit entries continue their tenant''s chain' using errcode = 'integrity_constraint_violation';
end
$$;
create trigger audit_moves_head after insert on audit
    referencing new table as new_rows for each statement execute function audit_moves_head();
create trigger audit_head_follows before update on audit_head for each row
    when (pg_trigger_depth() = 0 and new is distinct from old) execute function refuse_change();
create trigger audit_head_stays before delete or truncate on audit_head
    for each statement execute function refuse_change();

-- As before; the entry is of the decision's own time, and so in a partition that is known.
create or replace function decision_needs_audit() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
declare
    moment timestamptz;
begin
    -- One in all but forged statements; as a constant it leaves one partition to look at.
    for moment in select distinct decided_at from new_rows loop
        if exists (select from new_rows n where n.decided_at = moment and (
            select 1 from audit a where a.tenant_id = n.tenant_id and a.seq = n.audit_seq and a.at = moment
                                  and a.task_id = n.task_id and a.kind = 'task.decided') is null)
        then perform refuse_dangling('a decision needs its audit entry'); end if;
    end loop;
    if exists (select from new_rows n where n.result_sha256 <> '' and (
        select 1 from result r where r.tenant_id = n.tenant_id and r.task_id = n.task_id and r.attempt = n.attempt
                               and r.sha256 = n.result_sha256) is null and (
        select min(v.number) from revision v where v.tenant_id = n.tenant_id and v.task_id = n.task_id
                                               and v.attempt = n.attempt and v.sha256 = n.result_sha256) is null)
    then perform refuse_dangling('a decision needs the result that it names'); end if;
    return null;
end
$$;

-- ---------------------------------------------------------------------------------------------------
-- Refused attempts on what is not the tenant's own: so many a minute have their entry, the rest is counted here and
-- recorded as a number.
-- ---------------------------------------------------------------------------------------------------
create table refusal (
    tenant_id   text primary key references tenant,
    -- The minute that is counted.
    since       timestamptz not null,
    recorded    integer not null check (recorded >= 0),
    unrecorded  bigint not null default 0 check (unrecorded >= 0)
) with (fillfactor = 50);
alter table refusal enable row level security;
alter table refusal force row level security;
create policy refusal_of_tenant on refusal using (tenant_id = (select current_tenant()));
-- The sweep records what was only counted.
create policy refusal_for_sweep on refusal for select to chimera_judge using (true);
grant select, insert, update on refusal to chimera_app, chimera_judge;

-- ---------------------------------------------------------------------------------------------------
-- Erasing a person's data: the owner may, where it has ended. What is erased is null; its hash stays, and
-- what the hash was of is refused to become anything else.
-- ---------------------------------------------------------------------------------------------------
alter table plan
    add column erased_at timestamptz,
    alter column inputs drop not null,
    add check ((inputs is null) = (erased_at is not null)),
    add check (erased_at is null or finished_at is not null);
alter table task
    add column erased_at timestamptz,
    alter column input drop not null,
    add check ((input is null) = (erased_at is not null)),
    add check (erased_at is null or state in ('approved', 'denied', 'exhausted', 'cancelled', 'expired'));
alter table result
    add column erased_at timestamptz,
    alter column outcome drop not null,
    add check ((outcome is null) = (erased_at is not null));
alter table review_card
    add column erased_at timestamptz,
    add check (erased_at is null or (note is null and status <> 'pending'));
alter table revision
    add column erased_at timestamptz,
    alter column outcome drop not null,
    add check ((outcome is null) = (erased_at is not null)),
    add check (erased_at is null or note is null);
alter table state
    add column erased_at timestamptz,
    alter column value drop not null,
    add check ((value is null) = (erased_at is not null));
do $$
declare
    table_name text;
begin
    foreach table_name in array array['result', 'review_card', 'revision', 'state'] loop
        execute format('create policy %I on %I as restrictive for insert to chimera_app, chimera_worker, chimera_judge '
                       'with check (erased_at is null)', table_name || '_made_whole', table_name);
        execute format('create policy %I on %I as restrictive for update to chimera_app, chimera_worker, chimera_judge '
                       'using (true) with check (erased_at is null)', table_name || '_kept_whole', table_name);
    end loop;
end
$$;

-- ---------------------------------------------------------------------------------------------------
-- What direct SQL could still do to get something committed, or to change what was.
-- ---------------------------------------------------------------------------------------------------
-- Decisions and commits are never changed; results only by being erased.
create trigger decision_stays before update or delete or truncate on decision
    for each statement execute function refuse_change();
create trigger commit_stays before update or delete or truncate on commit
    for each statement execute function refuse_change();
create trigger result_stays before delete or truncate on result
    for each statement execute function refuse_change();
create trigger review_approval_stays before update or delete or truncate on review_approval
    for each statement execute function refuse_change();
create trigger revision_stays before delete or truncate on revision
    for each statement execute function refuse_change();
create trigger revision_erased before update on revision for each row
    when (new.outcome is not null or old.erased_at is not null
          or (new.tenant_id, new.card_id, new.number, new.task_id, new.attempt, new.sha256, new.reasons::text, new.policy_version,
              new.edited_by, new.edited_at)
             is distinct from
             (old.tenant_id, old.card_id, old.number, old.task_id, old.attempt, old.sha256, old.reasons::text, old.policy_version,
              old.edited_by, old.edited_at))
    execute function refuse_change();
create trigger result_erased before update on result for each row
    when (new.outcome is not null or old.erased_at is not null
          or (new.tenant_id, new.task_id, new.attempt, new.agent_id, new.sha256, new.tokens, new.cost_usd, new.started_at, new.finished_at)
             is distinct from
             (old.tenant_id, old.task_id, old.attempt, old.agent_id, old.sha256, old.tokens, old.cost_usd, old.started_at, old.finished_at))
    execute function refuse_change();

-- An approval names a result: one of none would let a commit of none follow.
alter table decision add constraint decision_approves_a_result check (verdict <> 'approve' or length(result_sha256) = 32);

-- A task begins in the queue: approved from the start it would look committed.
create policy task_begins_queued on task as restrictive for insert to chimera_app
    with check (state = 'queued' and attempt = 0);

-- A result comes while its task is worked on.
create or replace function result_needs_task() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from task t where t.tenant_id = n.tenant_id and t.task_id = n.task_id and t.attempt = n.attempt
                             and t.state in ('running', 'staged', 'in_review')) is null)
    then perform refuse_dangling('a result needs the task and the attempt that it names, and that it is worked on'); end if;
    return null;
end
$$;

-- A commit needs its task to be where the approval sent it.
create or replace function commit_needs_approval() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from decision d
          join task t on t.tenant_id = d.tenant_id and t.task_id = d.task_id
         where d.tenant_id = n.tenant_id and d.task_id = n.task_id and d.attempt = n.attempt
           and d.verdict = 'approve' and d.result_sha256 = n.result_sha256 and t.state = 'approved') is null)
    then perform refuse_dangling('a commit needs an approving decision on the very result that it names'); end if;
    return null;
end
$$;

-- And the other way round, once the transaction is complete: what is shown as approved is committed. The plan is kept, as
-- one is made for each row otherwise; the look-up goes by the key whatever the table's size.
create function approval_needs_commit() returns trigger language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan set search_path = public, pg_temp as $$
begin
    if (select 1 from commit c where c.task_id = new.task_id and c.tenant_id = new.tenant_id) is null
    then perform refuse_dangling('an approved task needs its commit'); end if;
    return null;
end
$$;
create constraint trigger approval_needs_commit after update of state on task deferrable initially deferred
    for each row when (new.state = 'approved' and old.state <> 'approved') execute function approval_needs_commit();
create constraint trigger approval_needs_commit_at_once after insert on task deferrable initially deferred
    for each row when (new.state = 'approved') execute function approval_needs_commit();

-- Shared state changes by one version at a time, and each has the commit that names its key and version.
create function state_needs_commit() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if (select 1 from commit c where c.tenant_id = new.tenant_id and c.task_id = new.task_id
                                 and c.state_key = new.key and c.state_version = new.version) is null
    then perform refuse_dangling('shared state needs the commit of its key and version'); end if;
    return null;
end
$$;
alter table state drop constraint state_task_id_tenant_id_fkey;
create constraint trigger state_needs_commit after insert or update on state deferrable initially deferred
    for each row execute function state_needs_commit();
create trigger state_goes_on before update on state for each row
    when ((new.tenant_id, new.key) is distinct from (old.tenant_id, old.key)
          or (new.version <> old.version + 1
              and ((new.version, new.task_id, new.changed_at) is distinct from (old.version, old.task_id, old.changed_at)
                   or (new.value is not null and new.value::text is distinct from old.value::text))))
    execute function refuse_change();
create trigger state_stays before delete or truncate on state
    for each statement execute function refuse_change();

-- A card shows what it was opened for, and is decided once, with the decision on its task in the same transaction.
create function card_needs_decision() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if (select 1 from decision d
         where d.tenant_id = new.tenant_id and d.task_id = new.task_id and d.attempt >= new.attempt
           and d.verdict = case new.status when 'denied' then 'deny' else 'approve' end
         limit 1) is null
    then perform refuse_dangling('a decided card needs the decision on its task'); end if;
    return null;
end
$$;
create constraint trigger card_needs_decision after update on review_card deferrable initially deferred
    for each row when (new.status <> old.status and new.status in ('approved', 'edited', 'denied'))
    execute function card_needs_decision();
create constraint trigger card_needs_decision_at_once after insert on review_card deferrable initially deferred
    for each row when (new.status in ('approved', 'edited', 'denied')) execute function card_needs_decision();
create policy review_card_begins_pending on review_card as restrictive for insert to chimera_judge
    with check (status = 'pending');
create trigger review_card_stays before update on review_card for each row
    when ((new.tenant_id, new.card_id, new.plan_id, new.task_id, new.attempt, new.result_sha256, new.reasons::text, new.opened_at,
           new.approvals_needed)
          is distinct from
          (old.tenant_id, old.card_id, old.plan_id, old.task_id, old.attempt, old.result_sha256, old.reasons::text, old.opened_at,
           old.approvals_needed)
          or new.revision < old.revision
          or (old.status <> 'pending'
              and ((new.status, new.version, new.revision, new.claimed_by, new.due_at, new.decided_by, new.decided_at)
                   is distinct from
                   (old.status, old.version, old.revision, old.claimed_by, old.due_at, old.decided_by, old.decided_at)
                   or (new.note is distinct from old.note and new.erased_at is null))))
    execute function refuse_change();
create trigger review_card_kept before delete or truncate on review_card
    for each statement execute function refuse_change();
