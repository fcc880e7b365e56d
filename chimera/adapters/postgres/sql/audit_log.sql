-- name: head
-- Where the tenant's chain is said to end.
select seq, hash from audit_head where tenant_id = %(tenant)s

-- name: entry_before
-- The last entry from before a time.
select seq, hash from audit where tenant_id = %(tenant)s and at < %(since)s order by seq desc limit 1

-- name: entries
-- The entries after a sequence, in order; ids as bytes, which cost the reader least; times as far as they can be read.
select seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, uuid_send(plan_id), uuid_send(task_id), body, payload, hash
  from audit
 where tenant_id = %(tenant)s and seq > %(after)s
 order by seq

-- name: matching
-- The entries that are all of what is given, in order; ids as bytes.
select seq, least(greatest(at, '1970-01-01Z'), '8999-12-31Z') as at, kind, actor, uuid_send(plan_id), uuid_send(task_id), body, payload, hash
  from audit
 where tenant_id = %(tenant)s
   and (%(since)s::timestamptz is null or at >= %(since)s) and (%(until)s::timestamptz is null or at < %(until)s)
   and (%(actor)s::text is null or actor = %(actor)s)
   and (%(plan)s::uuid is null or plan_id = %(plan)s) and (%(task)s::uuid is null or task_id = %(task)s)
   and (%(kinds)s::text[] is null or kind = any (%(kinds)s::text[]))
   -- Texts in which the rule's name does not stand are not parsed.
   and (%(rule)s::text is null or (strpos(coalesce(payload, body), %(rule_text)s) > 0 and exists (
        select from json_array_elements(coalesce(payload::json, body::json -> 'facts') -> 'reasons') r
         where r ->> 'rule' = %(rule)s or starts_with(r ->> 'rule', %(rule)s || '.'))))
 order by seq

-- name: doubtful
-- Decisions that do not plainly agree with their entry, result and commit. "Plainly" is the text that the Judge writes:
-- what was written otherwise, and may be right all the same, comes too.
with doubtful as (
    select coalesce(a.seq, d.audit_seq) as seq, a.task_id as entry_task_id, a.actor as entry_actor, a.at as entry_at,
           a.text as entry_text,
           d.task_id, d.attempt, d.verdict, d.final, d.reasons::text as reasons, d.policy_version, d.decided_by,
           d.decided_at, d.result_sha256
      from (select seq, task_id, actor, at, coalesce(payload, body) as text from audit
             where tenant_id = %(tenant)s and seq > %(after)s and kind = 'task.decided') a
      -- The joins carry whether result and commit agree and not what they are, which for a million decisions is half of
      -- the memory and a quarter of the time. `coalesce` keeps PostgreSQL from carrying outcomes and comparing them later.
      full join (select d.*,
                        (d.result_sha256 = '' or coalesce(v.same, r.same and r.sha256 = d.result_sha256))
                        and (d.verdict <> 'approve'
                             or (c.attempt = d.attempt and c.result_sha256 = d.result_sha256
                                 and c.committed_at = d.decided_at and c.stateless)) as agrees
                   from decision d
                   left join (select task_id, attempt, sha256,
                                     coalesce(sha256 = sha256(convert_to(outcome::text, 'UTF8')), false) as same
                                from result where tenant_id = %(tenant)s) r
                     on r.task_id = d.task_id and r.attempt = d.attempt
                   left join (select task_id, attempt, sha256,
                                     bool_and(coalesce(sha256 = sha256(convert_to(outcome::text, 'UTF8')), false)) as same
                                from revision where tenant_id = %(tenant)s group by task_id, attempt, sha256) v
                     on v.task_id = d.task_id and v.attempt = d.attempt and v.sha256 = d.result_sha256
                   left join (select task_id, attempt, result_sha256, committed_at,
                                     state_key is null and state_version is null as stateless
                                from commit where tenant_id = %(tenant)s) c
                     on c.task_id = d.task_id and d.verdict = 'approve'
                  where d.tenant_id = %(tenant)s and d.audit_seq > %(after)s) d on d.audit_seq = a.seq
     where (d.agrees and a.task_id = d.task_id and a.actor = d.decided_by and a.at = d.decided_at
            -- Entries of earlier releases, and of tasks that never ran, name no agent. By places: a pattern takes three times
            -- as long as all the rest.
            and a.text = case when left(a.text, 16) = '{"agent_id":"ag_' and substr(a.text, 49, 2) = '",'
                              then left(a.text, 50) else '{' end
                         || '"attempt":' || d.attempt
                         || case d.verdict when 'hitl' then ',"card_id":"' || substring(a.text from '"card_id":"([0-9a-f]{32})"') || '"'
                                           else '' end
                         || ',"committed":' || (d.verdict = 'approve') || ',"final":' || d.final
                         || ',"policy_version":"' || d.policy_version || '","reasons":' || d.reasons
                         || ',"result_sha256":"' || encode(d.result_sha256, 'hex') || '","state":"'
                         || case d.verdict when 'approve' then 'approved' when 'hitl' then 'in_review'
                                           else substring(a.text from '"state":"([a-z_]+)","verdict":"deny"}$') end
                         || '","verdict":"' || d.verdict || '"}') is not true
)
select q.*, coalesce(v.sha256, r.sha256) as stored_sha256,
       case when v.sha256 is null then r.found else v.found end as outcome_sha256,
       c.attempt as commit_attempt, c.result_sha256 as commit_sha256, c.committed_at, c.state_key, c.state_version
  from doubtful q
  -- These are looked up for each, which `offset 0` is for: there are few as a rule.
  left join lateral (select sha256, sha256(convert_to(outcome::text, 'UTF8')) as found from result
                      where tenant_id = %(tenant)s and task_id = q.task_id and attempt = q.attempt offset 0) r on true
  left join lateral (select distinct sha256, sha256(convert_to(outcome::text, 'UTF8')) as found from revision
                      where tenant_id = %(tenant)s and task_id = q.task_id and attempt = q.attempt
                        and sha256 = q.result_sha256 offset 0) v on true
  left join lateral (select attempt, result_sha256, committed_at, state_key, state_version from commit
                      where tenant_id = %(tenant)s and task_id = q.task_id and q.verdict = 'approve' offset 0) c on true
 order by q.seq

-- name: checkpoints
-- The checkpoints, as the database has them.
select body from audit_checkpoint where tenant_id = %(tenant)s order by number

-- name: as_many
-- Whether there are as many commits as approving decisions: where each of these has its own, no commit is without one.
select (select count(*) from commit where tenant_id = %(tenant)s)
       = (select count(*) from decision where tenant_id = %(tenant)s and verdict = 'approve') as same

-- name: stray_commits
-- Commits whose approving decision is missing.
select c.task_id
  from commit c
 where c.tenant_id = %(tenant)s
   and not exists (select from decision d where d.task_id = c.task_id and d.attempt = c.attempt and d.verdict = 'approve'
                      and d.result_sha256 = c.result_sha256 and d.tenant_id = c.tenant_id)

-- name: states
-- Shared state with the commit that made it, and the latest commit of its key.
select s.key, s.version, s.value::text as value, c.state_key, c.state_version, l.version as latest,
       coalesce((select v.outcome from revision v where v.tenant_id = c.tenant_id and v.task_id = c.task_id and v.attempt = c.attempt
                                                   and v.sha256 = c.result_sha256 limit 1), r.outcome)::text as outcome
  from state s
  left join commit c on c.task_id = s.task_id and c.tenant_id = s.tenant_id
  left join result r on r.task_id = c.task_id and r.attempt = c.attempt and r.tenant_id = c.tenant_id
  left join (select state_key, max(state_version) as version from commit
              where tenant_id = %(tenant)s and state_key is not null group by state_key) l on l.state_key = s.key
 where s.tenant_id = %(tenant)s
 order by s.key

-- name: lost_states
-- Keys that were committed and are not there.
select distinct c.state_key as key
  from commit c
 where c.tenant_id = %(tenant)s and c.state_key is not null
   and not exists (select from state s where s.tenant_id = c.tenant_id and s.key = c.state_key)
