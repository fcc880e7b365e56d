-- name: rights
-- Who is logged in, whether row-level security is passed by, and whose work that role may do: the owner's who owns the
-- tables, another's who may write what that one alone writes. Null for a database without the schema.
select current_user::text as role,
       rolsuper or rolbypassrls as passes_row_security,
       case when to_regclass('plan') is not null then
           array_remove(array[
               case when pg_has_role(current_user, (select relowner from pg_class where oid = to_regclass('plan')), 'usage')
                   then 'owner' end,
               case when has_table_privilege(to_regclass('plan'), 'insert') then 'app' end,
               case when has_column_privilege(to_regclass('skill'), 'name', 'insert') then 'worker' end,
               case when has_column_privilege(to_regclass('review_card'), 'approvals_needed', 'insert') then 'judge' end,
               case when has_function_privilege(to_regprocedure('lock_card(uuid)'), 'execute') then 'review' end,
               case when has_column_privilege(to_regclass('audit_checkpoint'), 'kept_at', 'update') then 'seal' end
           ], null)
       end as may_work_as
from pg_roles
where rolname = current_user

-- name: now
-- The server's clock.
select clock_timestamp() as now
