-- name: sessions
-- Sessions with the number of their plans, those opened last first; one, or those in a state, or all.
select s.tenant_id, s.session_id, s.state, s.opened_at, s.opened_by, s.changed_at, s.changed_by,
       (select count(*) from plan p where p.tenant_id = s.tenant_id and p.session_id = s.session_id) as plans,
       (select count(*) from plan p where p.tenant_id = s.tenant_id and p.session_id = s.session_id
                                      and p.state in ('submitted', 'planning', 'running', 'in_review')) as open_plans
  from session s
 where s.tenant_id = %(tenant)s
   and (%(session_id)s::text is null or s.session_id = %(session_id)s)
   and (%(state)s::text is null or s.state = %(state)s)
 order by s.opened_at desc, s.session_id desc
 limit %(limit)s

-- name: lock
-- A session: before the audit's head, as who changes plans because of it takes them.
select state, changed_by from session where tenant_id = %(tenant)s and session_id = %(session_id)s for update

-- name: change
-- Its state from now on.
update session set state = %(state)s, changed_at = clock_timestamp(), changed_by = %(actor)s
 where tenant_id = %(tenant)s and session_id = %(session_id)s
