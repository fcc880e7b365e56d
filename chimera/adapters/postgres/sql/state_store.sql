-- name: entries
-- Entries of shared state as they are, with the commits that made them so: one, or those whose key begins so. Values of
-- more bytes than asked for stay out.
select s.tenant_id, s.key, case when octet_length(s.value::text) <= %(most)s then s.value end as value,
       coalesce(octet_length(s.value::text) > %(most)s, false) as value_omitted, s.erased_at is not null as erased, s.version,
       t.plan_id, c.task_id, c.attempt, d.decided_by, c.committed_at, encode(c.result_sha256, 'hex') as result_sha256,
       coalesce(octet_length(coalesce(v.outcome, r.outcome)::text), 0) as result_size
  from state s
  join commit c on c.tenant_id = s.tenant_id and c.task_id = s.task_id
  join decision d on d.tenant_id = c.tenant_id and d.task_id = c.task_id and d.final
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
  left join lateral (select outcome from revision
                      where tenant_id = c.tenant_id and task_id = c.task_id and attempt = c.attempt
                        and sha256 = c.result_sha256 limit 1) v on true
 where s.tenant_id = %(tenant)s
   and (%(key)s::text is null or s.key = %(key)s)
   and starts_with(s.key, %(prefix)s) and s.key collate "C" > %(after)s
 order by s.key collate "C"
 limit %(limit)s

-- name: history
-- The commits to an entry, newest first, with what each committed, be it a person's version of a
-- result. Results of more bytes than asked for stay out.
select c.tenant_id, c.state_key as key, case when octet_length(coalesce(v.outcome, r.outcome)::text) <= %(most)s
       then coalesce(v.outcome, r.outcome) end as outcome,
       coalesce(octet_length(coalesce(v.outcome, r.outcome)::text) > %(most)s, false) as value_omitted,
       r.erased_at is not null as erased, c.state_version as version, t.plan_id, c.task_id, c.attempt,
       d.decided_by, c.committed_at, encode(c.result_sha256, 'hex') as result_sha256,
       coalesce(octet_length(coalesce(v.outcome, r.outcome)::text), 0) as result_size
  from commit c
  join decision d on d.tenant_id = c.tenant_id and d.task_id = c.task_id and d.final
  join task t on t.tenant_id = c.tenant_id and t.task_id = c.task_id
  join result r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
  left join lateral (select outcome from revision
                      where tenant_id = c.tenant_id and task_id = c.task_id and attempt = c.attempt
                        and sha256 = c.result_sha256 limit 1) v on true
 where c.tenant_id = %(tenant)s and c.state_key = %(key)s
   and (%(before)s::bigint is null or c.state_version < %(before)s)
 order by c.state_version desc
 limit %(limit)s
