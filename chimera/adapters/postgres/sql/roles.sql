-- name: missing
-- Which of Chimera's roles the cluster does not have, in their order.
select array(
    select role from unnest(%(roles)s::text[]) with ordinality as wanted (role, place)
    where not exists (select from pg_roles where rolname = role)
    order by place)

-- name: may_make
-- The role of this connection, and whether it may make roles.
select current_user, rolcreaterole or rolsuper from pg_roles where rolname = current_user

-- name: is_writer
-- Whether this connection's role may make functions the writer's: from PostgreSQL 16 on a member may be one that may not.
select pg_has_role(%(writer)s, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
