-- Reviewing by several people, and by editing.

alter table review_card
    -- So many different people must approve the very same result before it is committed.
    add column approvals_needed smallint not null default 1 check (approvals_needed between 1 and 9),
    -- Which version of the result is shown: 0 is the agent's own.
    add column revision smallint not null default 0 check (revision >= 0),
    add check ((claimed_by is null) = (claim_expires_at is null));

-- What every commit is checked against, and so an index that is empty where no policy asks for a quorum.
create index review_card_of_quorum on review_card (task_id, attempt, tenant_id) where approvals_needed > 1;

-- A person's version of a result. The agent's own stays where it is; no version is ever changed.
create table revision (
    tenant_id       text not null,
    card_id         uuid not null,
    number          smallint not null check (number >= 1),
    task_id         uuid not null,
    attempt         smallint not null,
    outcome         json not null,
    sha256          bytea not null check (sha256 = sha256(convert_to(outcome::text, 'UTF8'))),
    -- What the policy found in it, and which policy.
    reasons         json not null,
    policy_version  text not null,
    edited_by       text not null,
    edited_at       timestamptz not null default clock_timestamp(),
    note            text,
    primary key (card_id, number, tenant_id),
    foreign key (card_id, tenant_id) references review_card
);
-- What decisions and commits that name a revision look it up by.
create index revision_of_task on revision (task_id, attempt, sha256);

-- That a person approved a version of a result: once a person and version.
create table review_approval (
    tenant_id      text not null,
    card_id        uuid not null,
    result_sha256  bytea not null,
    approved_by    text not null check (approved_by <> ''),
    approved_at    timestamptz not null,
    audit_seq      bigint not null,
    primary key (card_id, result_sha256, approved_by, tenant_id),
    foreign key (card_id, tenant_id) references review_card
);

create function revision_needs_card() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from review_card c where c.tenant_id = n.tenant_id and c.card_id = n.card_id and c.task_id = n.task_id
                                      and c.attempt = n.attempt and c.status = 'pending' and c.revision = n.number - 1) is null)
    then perform refuse_dangling('a revision is the next one of a card that waits'); end if;
    return null;
end
$$;
create trigger revision_needs_card after insert on revision
    referencing new table as new_rows for each statement execute function revision_needs_card();

create function approval_needs_audit() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select 1 from review_card c
          join audit a on a.tenant_id = n.tenant_id and a.seq = n.audit_seq and a.task_id = c.task_id
                      and a.actor = n.approved_by and a.kind in ('review.approved', 'review.edited', 'review.decided')
         where c.tenant_id = n.tenant_id and c.card_id = n.card_id) is null)
    then perform refuse_dangling('an approval needs its audit entry, by the person that it names'); end if;
    if exists (select from new_rows n where (
        select 1 from review_card c where c.tenant_id = n.tenant_id and c.card_id = n.card_id and c.result_sha256 = n.result_sha256
        ) is null and (
        select min(v.number) from revision v
         where v.tenant_id = n.tenant_id and v.card_id = n.card_id and v.sha256 = n.result_sha256) is null)
    then perform refuse_dangling('an approval is of a version of the card''s result'); end if;
    return null;
end
$$;
create trigger approval_needs_audit after insert on review_approval
    referencing new table as new_rows for each statement execute function approval_needs_audit();

create function commit_needs_quorum() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where (
        select c.approvals_needed > (select count(*) from review_approval a where a.tenant_id = n.tenant_id
                                        and a.card_id = c.card_id and a.result_sha256 = n.result_sha256)
          from review_card c
         where c.tenant_id = n.tenant_id and c.task_id = n.task_id and c.attempt = n.attempt and c.approvals_needed > 1))
    then perform refuse_dangling('a commit needs as many people''s approvals of its very result as the card asks for'); end if;
    return null;
end
$$;
create trigger commit_needs_quorum after insert on commit
    referencing new table as new_rows for each statement execute function commit_needs_quorum();

do $$
declare
    table_name text;
begin
    foreach table_name in array array['revision', 'review_approval'] loop
        execute format('alter table %I enable row level security', table_name);
        execute format('alter table %I force row level security', table_name);
        execute format('create policy %I on %I using (tenant_id = (select current_tenant()))',
                       table_name || '_of_tenant', table_name);
    end loop;
end
$$;

grant select on revision, review_approval to chimera_app;
grant select, insert on revision, review_approval to chimera_judge;
