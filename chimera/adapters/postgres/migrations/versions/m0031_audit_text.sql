-- The hashed texts are made within the statement: a function for each cost 50 us an entry, more than all else about it.
create or replace function chain_audit(kinds text[], actors text[], plans uuid[], tasks uuid[], payloads text[],
                                       out before bigint, out moment timestamptz) language plpgsql security definer
    set search_path = public, pg_temp as $$
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
    -- As body_of in models/audit/audit.py makes them.
    select array_agg('{"actor":'
                     -- As json_ascii does it, without the cost of a call where there is nothing to do.
                     || case when r.actor collate "C" ~ '^[ !#-\[\]-~]*$' then '"' || r.actor || '"' else json_ascii(r.actor) end
                     || ',"at":"' || stamp || '","kind":'
                     || case when r.kind collate "C" ~ '^[ !#-\[\]-~]*$' then '"' || r.kind || '"' else json_ascii(r.kind) end
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
drop function audit_body(text, bigint, timestamptz, text, text, uuid, uuid, text);
