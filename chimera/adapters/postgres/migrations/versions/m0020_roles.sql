-- The logins of the process that seals the audit and of what people decide. And writing through functions: what a login
-- may write it writes by calling a function that checks it, which runs as a role that nobody logs in as.

-- Where the owner may not make roles somebody else has made them, and has granted the writer to the owner: see roles.py.
-- What says so comes from here only where the migrations run without it.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['chimera_seal', 'chimera_review', 'chimera_writer'] loop
        -- Who may not make roles may not try either, though somebody else has made it.
        continue when exists (select from pg_roles where rolname = wanted);
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null;  -- another database of this cluster made it, perhaps just now
        end;
    end loop;
    -- To give it a function takes membership, and from PostgreSQL 16 on who makes a role is no member that may SET ROLE.
    if not pg_has_role('chimera_writer', case when current_setting('server_version_num')::int >= 160000
                                              then 'set' else 'member' end) then
        grant chimera_writer to current_user;
    end if;
end
$$;
grant usage on schema public to chimera_writer;
grant execute on function current_tenant(), refuse_dangling(text) to chimera_writer;

-- Hands a function that is there to the writer, and lets these roles and the owner call it, nobody else. To create in the
-- schema is the writer's right for that moment only.
create function give_to_writer(what regprocedure, variadic callers text[]) returns void language plpgsql
    set search_path = public, pg_temp as $$
declare
    caller text;
begin
    if not (select prosecdef and coalesce('search_path=public, pg_temp' = any (proconfig), false)
              from pg_proc where oid = what) then
        raise exception '% is to be SECURITY DEFINER with a search_path of public, pg_temp', what;
    end if;
    execute format('revoke all on function %s from public', what);
    foreach caller in array callers || current_user::text loop
        execute format('grant execute on function %s to %I', what, caller);
    end loop;
    grant create on schema public to chimera_writer;
    execute format('alter function %s owner to chimera_writer', what);
    revoke create on schema public from chimera_writer;
end
$$;
revoke execute on function give_to_writer(regprocedure, text[]) from public;

-- Temporary objects and those of other schemas stand in for nothing: no login makes any, and what the schema's functions
-- name is looked up in it first.
do $$
declare
    known regprocedure;
begin
    execute format('revoke temporary on database %I from public, chimera_app, chimera_worker, chimera_judge',
                   current_database());
    revoke create on schema public from public;
    for known in select p.oid::regprocedure from pg_proc p
                  where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
                    and pg_has_role(p.proowner, 'usage')
                    and not exists (select from unnest(p.proconfig) c where c like 'search_path=%')
                    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e') loop
        execute format('alter function %s set search_path = public, pg_temp', known);
    end loop;
end
$$;
