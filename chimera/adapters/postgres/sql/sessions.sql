-- name: enter
-- The session that a plan is stored in, made by its first plan. Asked with the audit's head locked: a change of the session
-- holds it until it is committed, so it is either seen here or comes after the plan. Nobody else makes it meanwhile; an ON
-- CONFLICT would wait for a transaction that is changing it just now, and that one waits for the head.
with made as (
    insert into session (tenant_id, session_id, opened_by)
    select %(tenant)s, %(session_id)s, %(actor)s
     where not exists (select from session where tenant_id = %(tenant)s and session_id = %(session_id)s)
    returning session_id, state
)
select session_id, state, changed_by, false as opened
  from session where tenant_id = %(tenant)s and session_id = %(session_id)s
 union all
select session_id, state, null, true from made

-- name: hold
-- The session's state, which nobody changes until the transaction ends: the first lock of who changes plans because of it.
select state from session where tenant_id = %(tenant)s and session_id = %(session_id)s for share
