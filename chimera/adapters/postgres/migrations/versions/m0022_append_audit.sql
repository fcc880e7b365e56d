-- The audit is written by a function: it sets the time, makes the hashed text, computes the hash, and looks at who may
-- say what. No login has a right to write the tables.

-- When the last entry was written, which no later one is before. The owner speaks for no tenant here. A last entry of the
-- far future (a forged one; the clock of a server that was wrong) does not hold up those that follow.
alter table audit_head add column at timestamptz not null default '-infinity';
drop trigger audit_head_follows on audit_head;
alter table audit no force row level security;
alter table audit_head no force row level security;
update audit_head h set at = least(a.at, clock_timestamp()) from audit a where a.tenant_id = h.tenant_id and a.seq = h.seq;
alter table audit force row level security;
alter table audit_head force row level security;
create trigger audit_head_follows before update on audit_head for each row
    when (pg_trigger_depth() = 0
          and ((new.tenant_id, new.seq, new.hash) is distinct from (old.tenant_id, old.seq, old.hash) or new.at < old.at))
    execute function refuse_change();

-- As before; and the head's time moves with it. The record of a repair continues the entries that are there, where
-- what is said to be their end is not: only the owner of the table can write it (see audit_right).
create or replace function audit_moves_head() returns trigger language plpgsql
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
           count(*) filter (where tenant_id = one.tenant_id and at = one.at) as alike,
           bool_and(kind = 'audit.repaired') as repairs
      into added from new_rows;
    if added.alike = added.entries and added.last - added.first + 1 = added.entries then
        update audit_head set seq = added.last, hash = (select hash from new_rows where seq = added.last), at = one.at
         where tenant_id = one.tenant_id
           and (seq = added.first - 1
                or (added.repairs and added.first - 1 = (select coalesce(max(a.seq), 0) from audit a
                                                          where a.tenant_id = one.tenant_id and a.seq < added.first)));
        if found then
            return null;
        end if;
    end if;
    raise exception 'audit entries continue their tenant''s chain' using errcode = 'integrity_constraint_violation';
end
$$;

-- Which login may record what, in whose name: a pattern as of LIKE; null is any name that no pattern here takes. The owner
-- of the table, who could write to it anyhow, may record everything.
create table audit_right (
    caller  text not null,
    kind    text not null,
    actor   text,
    unique nulls not distinct (caller, kind, actor)
);
insert into audit_right (caller, kind, actor)
select 'chimera_app', kind, actor
  from (values ('plan.submitted', null), ('plan.submitted', 'app'),
               ('plan.planned', null), ('plan.planned', 'app'), ('plan.planned', 'planner'),
               ('plan.completed', 'planner'), ('plan.failed', 'planner'),
               ('plan.paused', null), ('plan.paused', 'app'), ('plan.paused', 'budget'),
               ('plan.resumed', null), ('plan.resumed', 'app'),
               ('plan.cancelled_asked', null), ('plan.cancelled_asked', 'app'),
               ('plan.cancelled', null), ('plan.cancelled', 'app'), ('plan.expired_asked', null), ('plan.expired', null),
               ('plan.replan_asked', 'planner'), ('plan.replan_answered', 'planner'),
               ('plan.budget_reached', 'budget'),
               ('session.opened', null), ('session.opened', 'app'), ('session.paused', null), ('session.paused', 'app'),
               ('session.resumed', null), ('session.resumed', 'app'), ('session.stopped', null), ('session.stopped', 'app'),
               ('access.refused', null), ('access.refused', 'app'), ('access.refused', 'chimera'),
               ('audit.read', null), ('audit.read', 'app')) as r (kind, actor)
 union all
select 'chimera_judge', kind, actor
  from (values ('review.opened', 'judge'),
               ('plan.in_review', 'judge'), ('plan.completed', 'judge'), ('plan.completed_with_failures', 'judge'),
               ('plan.cancelled', 'judge'), ('plan.expired', 'judge'),
               ('plan.expired_asked', 'sweep'), ('plan.expired', 'sweep'),
               ('plan.paused', 'budget'), ('plan.resumed', 'budget'), ('plan.budget_reached', 'budget'),
               ('budget.overrun', 'budget'),
               ('access.refused', null), ('access.refused', 'app'), ('access.refused', 'chimera')) as r (kind, actor)
 union all
-- What people do it records, in their names, and what follows in the Judge's.
select 'chimera_review', kind, actor
  from (values ('review.claimed', null), ('review.released', null), ('review.edited', null), ('review.approved', null),
               ('review.decided', null),
               ('plan.in_review', 'judge'), ('plan.completed', 'judge'), ('plan.completed_with_failures', 'judge'),
               ('access.refused', null), ('access.refused', 'app'), ('access.refused', 'chimera')) as r (kind, actor)
 union all
-- No login records what is decided: the writer's function does. The names are those of nobody else.
select 'chimera_writer', 'task.decided', actor from unnest(array['judge', 'policy', 'policy and %']) actor;

-- A text as canonical JSON has it, as models/record.py writes it, where it is more than printable ASCII.
create function json_escaped(what text) returns text language plpgsql immutable strict parallel safe
    set search_path = public, pg_temp as $$
declare
    part text;
    code integer;
    made text := '';
begin
    foreach part in array string_to_array(what, null) loop
        code := ascii(part);
        made := made || case
            when code in (34, 92) then '\' || part
            when code between 32 and 126 then part
            when code = 10 then '\n' when code = 13 then '\r' when code = 9 then '\t'
            when code = 8 then '\b' when code = 12 then '\f'
            when code < 65536 then '\u' || lpad(to_hex(code), 4, '0')
            else '\u' || to_hex(55296 + ((code - 65536) >> 10)) || '\u' || to_hex(56320 + ((code - 65536) & 1023)) end;
    end loop;
    return '"' || made || '"';
end
$$;

-- Every text as canonical JSON has it. Neither strict nor with a SET, so that PostgreSQL puts the expression into the
-- statement that asks: a call for each text would cost 50 us.
create function json_ascii(what text) returns text language sql immutable parallel safe
    return case when what collate "C" ~ '^[ !#-\[\]-~]*$' then '"' || what || '"' else json_escaped(what) end;

-- A time as the hashed text has it: UTC, as Python's isoformat writes it.
create function audit_stamp(moment timestamptz) returns text language sql immutable strict parallel safe
    set search_path = public, pg_temp
    return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
           || case when extract(microseconds from moment)::bigint % 1000000 = 0 then ''
                   else to_char(moment at time zone 'UTC', '.US') end || '+00:00';

-- Whether whoever is logged in owns the schema, and could do by itself what functions do for others.
create function is_owner() returns boolean language sql stable parallel safe
    set search_path = public, pg_temp
    return pg_has_role(session_user, (select relowner from pg_class where oid = 'public.audit'::regclass), 'usage');

-- The end of the tenant's chain, locked until the transaction ends: the last lock of every transaction. The time is that of
-- what is recorded under it: the server's clock, and never before the last entry's.
create function lock_audit_head(out seq bigint, out at timestamptz) language sql security definer
    set search_path = public, pg_temp
begin atomic
    update audit_head h set at = greatest(clock_timestamp(), h.at)
     where h.tenant_id = current_tenant() returning h.seq, h.at;
end;

-- Entries at the chain's end, which moves with them. Returns their number before the first and their time; null where there
-- is no such tenant. For the writer's other functions: it does not look at who records what.
create function chain_audit(kinds text[], actors text[], plans uuid[], tasks uuid[], payloads text[],
                                       out before bigint, out moment timestamptz) language plpgsql security definer
    set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    tenant constant text := current_tenant();
    previous bytea;
    bodies text[];
    body text;
    hashes bytea[];
    mine boolean;
    stamp text;
begin
    select h.seq, h.hash, h.at, h.xmin = pg_current_xact_id()::xid into before, previous, moment, mine
      from audit_head h where h.tenant_id = tenant for update;
    if not found or cardinality(kinds) = 0 then
        return;
    end if;
    -- What this transaction has locked or written already is of one time.
    if not mine or moment = '-infinity' then
        moment := greatest(clock_timestamp(), moment);
    end if;
    stamp := audit_stamp(moment);
    -- As body_of in models/audit/audit.py makes them. Within the statement: a call of a function costs more than all else.
    select array_agg('{"actor":'
                     || json_ascii(r.actor) || ',"at":"' || stamp || '","kind":' || json_ascii(r.kind)
                     || ',"payload_sha256":"' || encode(sha256(convert_to(r.payload, 'UTF8')), 'hex')
                     || '","plan_id":' || coalesce('"' || replace(r.plan_id::text, '-', '') || '"', 'null')
                     || ',"seq":' || before + r.n
                     || ',"task_id":' || coalesce('"' || replace(r.task_id::text, '-', '') || '"', 'null')
                     || ',"tenant_id":"' || tenant || '"}' order by r.n)
      into bodies
      from unnest(kinds, actors, plans, tasks, payloads) with ordinality as r (kind, actor, plan_id, task_id, payload, n);
    foreach body in array bodies loop
        previous := sha256(previous || convert_to(body, 'UTF8'));
        hashes := hashes || previous;
    end loop;
    insert into audit (tenant_id, seq, at, kind, actor, plan_id, task_id, body, payload, hash)
    select tenant, before + r.n, moment, r.kind, r.actor, r.plan_id, r.task_id, r.body, r.payload, r.hash
      from unnest(kinds, actors, plans, tasks, bodies, payloads, hashes) with ordinality
           as r (kind, actor, plan_id, task_id, body, payload, hash, n);
end
$$;

-- The same for whoever is logged in, of what that login may say. What an entry says of plans, tasks, sessions and of the
-- login itself is so.
create function append_audit(kinds text[], actors text[], plans uuid[], tasks uuid[], payloads text[],
                             out before bigint, out moment timestamptz) language plpgsql security definer
    set search_path = public, pg_temp
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    wrong record;
begin
    if exists (select from unnest(actors, payloads) as r (actor, payload)
                where r.actor is null or length(r.actor) not between 1 and 200 or r.actor ~ '[\x01-\x1f\x7f]'
                   or r.payload is null or octet_length(r.payload) <> length(r.payload)
                   or json_typeof(r.payload::json) <> 'object') then
        raise exception 'an audit entry names who, and says what as a JSON object' using errcode = 'check_violation';
    end if;
    select * into before, moment from chain_audit(kinds, actors, plans, tasks, payloads);
    if is_owner() then
        return;
    end if;
    for wrong in
        select r.kind, r.actor from (select distinct kind, actor from unnest(kinds, actors) as e (kind, actor)) r
         where not exists (
            select from audit_right a
             where a.kind = r.kind and pg_has_role(session_user, a.caller, 'usage')
               and (r.actor like a.actor
                    or (a.actor is null and not exists (select from audit_right o where r.actor like o.actor))))
    loop
        raise exception '% records no % in the name of %', session_user, wrong.kind, wrong.actor
            using errcode = 'insufficient_privilege';
    end loop;
    if exists (select from unnest(kinds, payloads) as r (kind, payload)
                where r.kind in ('plan.paused', 'plan.resumed', 'plan.cancelled_asked', 'session.paused', 'session.resumed',
                                 'session.stopped', 'review.claimed', 'review.released', 'review.edited', 'review.approved',
                                 'review.decided', 'audit.read')
                  and r.payload::json ->> 'by_login' is distinct from session_user) then
        raise exception 'what people do is recorded with the login that did it' using errcode = 'check_violation';
    end if;
    for wrong in
        select r.kind
          from unnest(kinds, plans, tasks, payloads) with ordinality as r (kind, plan_id, task_id, payload, n)
          -- By their keys, one by one: a few entries must not have all that is planned read, as a join of sets may.
          left join lateral (select p.* from plan p
                              where p.tenant_id = current_tenant() and p.plan_id = r.plan_id limit 1) p on true
          left join lateral (select t.plan_id from task t
                              where t.tenant_id = current_tenant() and t.task_id = r.task_id limit 1) t on true
         where case when r.plan_id is null
                    then r.kind like 'plan.%' or r.kind like 'task.%' or r.kind like 'review.%' or r.task_id is not null
                    else p.plan_id is null or (r.task_id is not null and t.plan_id is distinct from r.plan_id) end
            or (r.kind in (select kind from audit_right where actor is null)
                and r.payload::json ->> 'by_login' <> session_user)
            or case when r.kind = 'plan.submitted' then p.first_audit_seq <> before + r.n
                    when r.kind = 'plan.planned' then p.state in ('submitted', 'planning')
                    when r.kind = 'plan.paused' then p.paused_at is null
                    when r.kind = 'plan.resumed' then p.paused_at is not null
                    when r.kind like 'plan.%\_asked' and r.kind <> 'plan.replan_asked'
                    then p.stop_state is distinct from split_part(split_part(r.kind, '.', 2), '_', 1)
                    when r.kind in ('plan.in_review', 'plan.completed', 'plan.completed_with_failures', 'plan.failed',
                                    'plan.cancelled', 'plan.expired')
                    then p.state <> split_part(r.kind, '.', 2)
                    when r.kind like 'session.%'
                    then not exists (
                        select from session s
                         where s.tenant_id = current_tenant() and s.session_id = r.payload::json ->> 'session_id'
                           and s.state = case r.kind when 'session.paused' then 'paused' when 'session.stopped' then 'stopped'
                                                     when 'session.resumed' then 'open' else s.state end)
                    else false end
    loop
        raise exception 'an audit entry % says what is not so', wrong.kind using errcode = 'check_violation';
    end loop;
end
$$;

grant select, update on audit_head to chimera_writer;
grant select, insert on audit to chimera_writer;
grant select on audit_right to chimera_writer;
grant select on plan, task to chimera_writer;
grant select (tenant_id, session_id, state) on session to chimera_writer;
revoke execute on function json_escaped(text), json_ascii(text), audit_stamp(timestamptz), is_owner() from public;
grant execute on function json_escaped(text), json_ascii(text), audit_stamp(timestamptz), is_owner() to chimera_writer;
select give_to_writer('lock_audit_head()', 'chimera_app', 'chimera_judge', 'chimera_review'),
       give_to_writer('chain_audit(text[], text[], uuid[], uuid[], text[])', variadic '{}'),
       give_to_writer('append_audit(text[], text[], uuid[], uuid[], text[])', 'chimera_app', 'chimera_judge',
                      'chimera_review');
drop policy audit_by_app on audit;
revoke insert on audit from chimera_app, chimera_judge;
revoke update on audit_head from chimera_app, chimera_judge;
