-- What people decide has a login of its own. It writes cards, revisions and approvals through functions that check what they
-- are told; the Judge opens cards, and closes those of plans that end, and no login can alter what a card is about.

-- ---------------------------------------------------------------------------------------------------
-- Names. Rows that are there stay as they are.
-- ---------------------------------------------------------------------------------------------------
-- What tells people apart, as far as the schema can: chimera/models/text/person.py knows look-alikes, too.
create function person_key(name text) returns text language sql immutable strict parallel safe
    set search_path = public, pg_temp
    return lower(normalize(name, nfkc));

-- Whether a name can be a person's, as models/text/person.py has it: no control or format characters, single spaces, the
-- normal form, and none that a part of Chimera has.
create function is_person_name(name text) returns boolean language sql immutable parallel safe
    set search_path = public, pg_temp
    return coalesce(
        name is nfkc normalized
        and length(name) between 1 and 100
        and name !~ '[\u0001-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202f]'
        and name !~ '[\u205f-\u206f\u3000\ud800-\uf8ff\ufeff\ufff9-\uffff]'
        and name !~ '^ | $|  '
        and person_key(name) !~ '^(policy and |chimera[ _])'
        and person_key(name) not in ('app', 'beat', 'budget', 'chimera', 'gate', 'judge', 'owner', 'planner', 'policy',
                                     'seal', 'sweep', 'system', 'worker'),
        false);

alter table review_approval add constraint review_approval_by_a_person check (is_person_name(approved_by)) not valid;
alter table policy add constraint policy_by_a_person check (is_person_name(applied_by)) not valid;

-- ---------------------------------------------------------------------------------------------------
-- What nobody can write, whatever the login.
-- ---------------------------------------------------------------------------------------------------
-- Whether whoever is logged in says what is this role's to say; or owns the schema, and erases.
create function speaks_for(role text) returns boolean language sql stable parallel safe
    set search_path = public, pg_temp
    return pg_has_role(session_user, role, 'usage') or is_owner();

-- A result that waits, or waited, for people is approved by as many of them as its card asks for, of the very bytes that
-- it shows. What a person decides is said by the login of people's decisions; and that login says nothing else.
create function decision_needs_people() returns trigger language plpgsql
    set enable_seqscan = off set search_path = public, pg_temp as $$
declare
    persons bigint;
begin
    if exists (select from new_rows n where n.verdict = 'approve' and (
        select (n.result_sha256 <> case when c.revision = 0 then c.result_sha256 else (
                    select v.sha256 from revision v
                     where v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision) end)
               or c.approvals_needed > (
                    select count(distinct person_key(a.approved_by)) from review_approval a
                     where a.tenant_id = c.tenant_id and a.card_id = c.card_id and a.result_sha256 = n.result_sha256)
          from review_card c
         where c.tenant_id = n.tenant_id and c.task_id = n.task_id and c.attempt = n.attempt))
    then perform refuse_dangling('what waits for people needs as many people''s approvals of what it shows as its card asks for'); end if;
    select count(*) into persons from new_rows n
     where n.decided_by not in ('policy', 'judge') and n.decided_by not like 'policy and %';
    if persons > 0 and not speaks_for('chimera_review') then
        raise exception 'what a person decided is not for % to say', session_user using errcode = 'insufficient_privilege';
    end if;
    if persons < (select count(*) from new_rows) and pg_has_role(session_user, 'chimera_review', 'usage')
       and not pg_has_role(session_user, 'chimera_judge', 'usage') then
        raise exception 'what no person decided is not for % to say', session_user using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;
create trigger decision_needs_people after insert on decision
    referencing new table as new_rows for each statement execute function decision_needs_people();
-- Every commit needs such a decision.
drop trigger commit_needs_quorum on commit;
drop function commit_needs_quorum();
drop index review_card_of_quorum;

-- As before; and neither what was judged of it nor by what, and what is shown changes with the version.
drop trigger review_card_stays on review_card;
create trigger review_card_stays before update on review_card for each row
    when ((new.tenant_id, new.card_id, new.plan_id, new.task_id, new.attempt, new.result_sha256, new.reasons::text, new.opened_at,
           new.approvals_needed, new.skill, new.confidence, new.policy_version)
          is distinct from
          (old.tenant_id, old.card_id, old.plan_id, old.task_id, old.attempt, old.result_sha256, old.reasons::text, old.opened_at,
           old.approvals_needed, old.skill, old.confidence, old.policy_version)
          or new.revision not in (old.revision, old.revision + 1)
          or new.version not in (old.version, old.version + 1)
          or (new.revision <> old.revision and new.version = old.version)
          or (old.status <> 'pending'
              and ((new.status, new.version, new.revision, new.claimed_by, new.due_at, new.decided_by, new.decided_at)
                   is distinct from
                   (old.status, old.version, old.revision, old.claimed_by, old.due_at, old.decided_by, old.decided_at)
                   or (new.note is distinct from old.note and new.erased_at is null))))
    execute function refuse_change();

-- ---------------------------------------------------------------------------------------------------
-- The functions. Each is of the tenant that the transaction speaks for.
-- ---------------------------------------------------------------------------------------------------
create function refuse_review(what text) returns void language plpgsql
    set search_path = public, pg_temp as $$
begin
    raise exception '%', what using errcode = 'check_violation';
end
$$;

-- The card, locked, so that one change follows the other.
create function lock_card(of_card uuid) returns void language sql security definer
    set search_path = public, pg_temp
begin atomic
    select from review_card c where c.tenant_id = current_tenant() and c.card_id = of_card for update;
end;

-- The oldest card that waits for this person, locked: nobody else has it, and this person has not approved what it shows.
create function next_card(who text, of_skill text) returns uuid language sql security definer
    set search_path = public, pg_temp
begin atomic
    select c.card_id
      from review_card c
      join plan p on p.tenant_id = c.tenant_id and p.plan_id = c.plan_id
     where c.tenant_id = current_tenant() and c.status = 'pending' and p.stop_state is null
       and (c.claim_expires_at is null or c.claim_expires_at <= clock_timestamp())
       and (of_skill is null or c.skill = of_skill)
       and not exists (
           select from review_approval a
            where a.tenant_id = c.tenant_id and a.card_id = c.card_id and person_key(a.approved_by) = person_key(who)
              and a.result_sha256 = case when c.revision = 0 then c.result_sha256 else (
                  select v.sha256 from revision v
                   where v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision) end)
     order by c.card_id
     limit 1
       for update of c skip locked;
end;

-- Whether a card waits, and this person may change it: nobody else has claimed it.
create function may_review(card review_card, who text) returns boolean language sql stable
    set search_path = public, pg_temp
    return card.status = 'pending' and is_person_name(who)
       and (card.claim_expires_at is null or card.claim_expires_at <= clock_timestamp() or card.claimed_by = who);

-- The card is this person's for the given seconds; returns until when.
create function claim_card(of_card uuid, who text, seconds double precision) returns timestamptz language plpgsql
    security definer set search_path = public, pg_temp as $$
declare
    until timestamptz;
begin
    if not coalesce(seconds > 0 and seconds <= 86400, false) then
        perform refuse_review('a claim lasts more than nothing and at most a day');
    end if;
    update review_card c
       set claimed_by = who, claim_expires_at = clock_timestamp() + make_interval(secs => seconds)
     where c.tenant_id = current_tenant() and c.card_id = of_card and may_review(c, who)
    returning c.claim_expires_at into until;
    if not found then
        perform refuse_review('the card is not to be claimed');
    end if;
    return until;
end
$$;

-- The card is everybody's again.
create function release_card(of_card uuid, who text) returns void language plpgsql
    security definer set search_path = public, pg_temp as $$
begin
    update review_card c set claimed_by = null, claim_expires_at = null
     where c.tenant_id = current_tenant() and c.card_id = of_card and may_review(c, who);
    if not found then
        perform refuse_review('the card is not to be released');
    end if;
end
$$;

-- A person's version of the result, which the card shows from now on: who saw what it showed before has to look again.
create function revise_card(of_card uuid, seen_version integer, new_outcome text, new_sha256 bytea, new_reasons text,
                            by_policy text, who text, why text) returns void language plpgsql
    security definer set search_path = public, pg_temp as $$
declare
    card review_card;
begin
    select c.* into card from review_card c
     where c.tenant_id = current_tenant() and c.card_id = of_card and may_review(c, who) and c.version = seen_version for update;
    if not found then
        perform refuse_review('the card is not to be edited');
    end if;
    insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, policy_version, edited_by, note)
    values (card.tenant_id, card.card_id, card.revision + 1, card.task_id, card.attempt, new_outcome::json, new_sha256,
            new_reasons::json, by_policy, who, why);
    update review_card c set revision = c.revision + 1, version = c.version + 1
     where c.tenant_id = card.tenant_id and c.card_id = card.card_id;
end
$$;

-- What became of the card.
create function decide_card(of_card uuid, seen_version integer, how text, who text, why text) returns void language plpgsql
    security definer set search_path = public, pg_temp as $$
begin
    update review_card c
       set status = how, decided_by = who, note = why, decided_at = clock_timestamp(), version = c.version + 1
     where c.tenant_id = current_tenant() and c.card_id = of_card and may_review(c, who) and c.version = seen_version
       and (how = 'denied' or how = case when c.revision = 0 then 'approved' else 'edited' end);
    if not found then
        perform refuse_review('the card is not to be decided so');
    end if;
end
$$;

-- That a person approved what the card shows: while it waits, or where this transaction decides it. The entry of the
-- audit says so, too.
create function approve_card(of_card uuid, seen_sha256 bytea, who text, moment timestamptz, entry bigint) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into review_approval (tenant_id, card_id, result_sha256, approved_by, approved_at, audit_seq)
    select c.tenant_id, c.card_id, seen_sha256, who, a.at, a.seq
      from review_card c
      join audit a on a.tenant_id = c.tenant_id and a.at = moment and a.seq = entry and a.task_id = c.task_id and a.actor = who
     where c.tenant_id = current_tenant() and c.card_id = of_card and is_person_name(who)
       and (may_review(c, who)
            or (c.status in ('approved', 'edited') and c.decided_by = who and c.xmin = pg_current_xact_id()::xid))
       and seen_sha256 = case when c.revision = 0 then c.result_sha256 else (
           select v.sha256 from revision v
            where v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision) end
        on conflict do nothing;
    if not exists (select from review_approval a where a.tenant_id = current_tenant() and a.card_id = of_card
                                                   and a.result_sha256 = seen_sha256 and a.approved_by = who)
    then
        perform refuse_review('the card is not to be approved');
    end if;
end
$$;

-- Cards of tasks of a plan that ends so, which nobody has to decide any more.
create function stop_cards(of_plan uuid, task_ids uuid[], how text) returns void language sql security definer
    set search_path = public, pg_temp
begin atomic
    update review_card c
       set status = p.stop_state, decided_at = clock_timestamp(), version = c.version + 1
      from plan p
     where c.tenant_id = current_tenant() and c.task_id = any (task_ids) and c.status = 'pending'
       and p.tenant_id = c.tenant_id and p.plan_id = c.plan_id and p.plan_id = of_plan and p.stop_state = how;
end;

grant select, update on review_card to chimera_writer;
grant select, insert on revision, review_approval to chimera_writer;
-- What the triggers of these tables look up: from PostgreSQL 18 on deferred ones too run as who wrote.
grant select on result, decision to chimera_writer;
revoke execute on function refuse_review(text), may_review(review_card, text), speaks_for(text) from public;
grant execute on function refuse_review(text), may_review(review_card, text), speaks_for(text) to chimera_writer;
select give_to_writer('lock_card(uuid)', 'chimera_review'),
       give_to_writer('next_card(text, text)', 'chimera_review'),
       give_to_writer('claim_card(uuid, text, double precision)', 'chimera_review'),
       give_to_writer('release_card(uuid, text)', 'chimera_review'),
       give_to_writer('revise_card(uuid, integer, text, bytea, text, text, text, text)', 'chimera_review'),
       give_to_writer('decide_card(uuid, integer, text, text, text)', 'chimera_review'),
       give_to_writer('approve_card(uuid, bytea, text, timestamptz, bigint)', 'chimera_review'),
       give_to_writer('stop_cards(uuid, uuid[], text)', 'chimera_judge');

-- ---------------------------------------------------------------------------------------------------
-- What each login keeps.
-- ---------------------------------------------------------------------------------------------------
revoke insert, update on review_card, revision, review_approval from chimera_judge;
grant insert (tenant_id, card_id, plan_id, task_id, attempt, skill, result_sha256, reasons, confidence, policy_version,
              approvals_needed, opened_at) on review_card to chimera_judge;

-- A person's decision is written like the Judge's, by the steps of one transaction: see m0030_deciding_functions.sql.
grant execute on function current_tenant(), refuse_dangling(text) to chimera_review;
grant select on review_card, revision, review_approval, wave, task, result, policy, audit, audit_head, decision, commit, state,
                budget, refusal, skill to chimera_review;
grant select (tenant_id, number, seq, entry_at, kept_at) on audit_checkpoint to chimera_review;
grant select (tenant_id, plan_id, state, stop_state, trace_id, task_count) on plan to chimera_review;
-- To lock it.
grant update (touched_at) on wave to chimera_review;
grant insert, update on refusal to chimera_review;
