-- name: plan_not_ended
-- Every plan ends.
-- class: unfinished
select plan_id as id, state as what from plan
 where tenant_id = %(tenant)s and state not in ('completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')

-- name: plan_end_untrue
-- A plan is completed where each of its tasks was approved or denied, and with failures where one was not.
-- class: broken
select p.plan_id as id, p.state as what from plan p
 where p.tenant_id = %(tenant)s and p.state in ('completed', 'completed_with_failures')
   and (p.state = 'completed_with_failures') <> exists (
       select from task t where t.tenant_id = p.tenant_id and t.plan_id = p.plan_id and t.state not in ('approved', 'denied'))

-- name: task_without_decision
-- Every task of a plan that has ended has a final decision.
-- class: lost
select t.task_id as id, t.state as what
  from task t join plan p on p.plan_id = t.plan_id and p.tenant_id = t.tenant_id
 where t.tenant_id = %(tenant)s and p.state in ('completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')
   and not exists (select from decision d where d.task_id = t.task_id and d.tenant_id = t.tenant_id and d.final)

-- name: task_left_open
-- No task of a plan that has ended is still on its way.
-- class: lost
select t.task_id as id, t.state as what
  from task t join plan p on p.plan_id = t.plan_id and p.tenant_id = t.tenant_id
 where t.tenant_id = %(tenant)s and p.state in ('completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')
   and t.state not in ('approved', 'denied', 'exhausted', 'cancelled', 'expired')

-- name: tasks_missing
-- A plan has as many tasks as its planner yielded.
-- class: lost
select p.plan_id as id, p.task_count || ' planned, ' || count(t.task_id) || ' there' as what
  from plan p left join task t on t.plan_id = p.plan_id and t.tenant_id = p.tenant_id
 where p.tenant_id = %(tenant)s
 group by p.plan_id, p.task_count having count(t.task_id) <> p.task_count

-- name: approved_and_not_committed
-- What was approved is committed.
-- class: lost
select d.task_id as id, d.decided_by as what from decision d
 where d.tenant_id = %(tenant)s and d.verdict = 'approve'
   and not exists (select from commit c where c.task_id = d.task_id and c.tenant_id = d.tenant_id)

-- name: task_decided_twice
-- No task has two final decisions.
-- class: duplicated
select task_id as id, string_agg(verdict || ' of attempt ' || attempt, ', ') as what from decision
 where tenant_id = %(tenant)s and final group by task_id having count(*) > 1

-- name: task_committed_twice
-- No task is committed twice.
-- class: duplicated
select task_id as id, count(*) || ' commits' as what from commit
 where tenant_id = %(tenant)s group by task_id having count(*) > 1

-- name: stored_result_made_again
-- A result that was stored is not made again, unless its denial sent the task back.
-- class: duplicated
select r.task_id as id, 'attempt ' || r.attempt || ' of ' || t.attempt as what
  from result r join task t on t.task_id = r.task_id and t.tenant_id = r.tenant_id
 where r.tenant_id = %(tenant)s and r.attempt < t.attempt
   and not exists (select from decision d where d.task_id = r.task_id and d.tenant_id = r.tenant_id
                      and d.attempt = r.attempt and d.verdict = 'deny' and not d.final)

-- name: commit_without_approval
-- A commit has its approving decision and that decision's audit entry, on the very bytes that it commits.
-- class: broken
select c.task_id as id, encode(c.result_sha256, 'hex') as what from commit c
 where c.tenant_id = %(tenant)s and not exists (
       select from decision d
         join audit a on a.tenant_id = d.tenant_id and a.seq = d.audit_seq and a.task_id = d.task_id
         join (select tenant_id, task_id, attempt, sha256, outcome, erased_at from result
                union all select tenant_id, task_id, attempt, sha256, outcome, erased_at from revision) r
           on r.tenant_id = d.tenant_id and r.task_id = d.task_id and r.attempt = d.attempt
        where d.tenant_id = c.tenant_id and d.task_id = c.task_id and d.verdict = 'approve' and d.attempt = c.attempt
          and d.result_sha256 = c.result_sha256 and r.sha256 = c.result_sha256
          and (r.erased_at is not null or r.sha256 = sha256(convert_to(r.outcome::text, 'UTF8')))
          and a.kind = 'task.decided' and a.at <= c.committed_at
          and coalesce(a.payload::json, a.body::json -> 'facts') ->> 'verdict' = 'approve'
          and coalesce(a.payload::json, a.body::json -> 'facts') ->> 'result_sha256' = encode(c.result_sha256, 'hex'))

-- name: refused_and_committed
-- What was refused for good, or stopped, is not committed.
-- class: broken
select c.task_id as id, t.state as what
  from commit c join task t on t.task_id = c.task_id and t.tenant_id = c.tenant_id
 where c.tenant_id = %(tenant)s and t.state <> 'approved'

-- name: state_and_decision_differ
-- A task is where its final decision sent it, at the attempt that was decided.
-- class: broken
select t.task_id as id, t.state || ' at attempt ' || t.attempt || ', decided ' || d.verdict || ' at ' || d.attempt as what
  from task t join decision d on d.task_id = t.task_id and d.tenant_id = t.tenant_id and d.final
 where t.tenant_id = %(tenant)s and (d.attempt <> t.attempt or (t.state = 'approved') <> (d.verdict = 'approve'))

-- name: result_of_another_agent
-- The result of an attempt is that of the agent which holds it: nobody else's was accepted.
-- class: broken
select t.task_id as id, 'attempt ' || t.attempt as what
  from task t join result r on r.task_id = t.task_id and r.tenant_id = t.tenant_id and r.attempt = t.attempt
 where t.tenant_id = %(tenant)s and r.agent_id <> t.agent_id

-- name: too_many_attempts
-- No task has more attempts than it may have.
-- class: broken
select task_id as id, attempt || ' of ' || max_attempts as what from task
 where tenant_id = %(tenant)s and attempt > max_attempts

-- name: state_versions_with_gaps
-- The versions of an entry of shared state are 1, 2, 3 ... n, each by one commit, and it is at version n.
-- class: broken
select s.key as id, s.version || ' with ' || count(c.task_id) || ' commits' as what
  from state s left join commit c on c.tenant_id = s.tenant_id and c.state_key = s.key
 where s.tenant_id = %(tenant)s
 group by s.key, s.version
having count(c.task_id) <> s.version or count(distinct c.state_version) <> s.version
    or min(c.state_version) <> 1 or max(c.state_version) <> s.version

-- name: state_is_not_the_last_commit
-- The value of an entry of shared state is the output of its last commit.
-- class: broken
select s.key as id, s.value::text as what from state s
 where s.tenant_id = %(tenant)s and not exists (
       select from commit c
         join (select tenant_id, task_id, attempt, sha256, outcome, erased_at from result
                union all select tenant_id, task_id, attempt, sha256, outcome, erased_at from revision) r
           on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt and r.sha256 = c.result_sha256
        where c.tenant_id = s.tenant_id and c.state_key = s.key and c.state_version = s.version
          and c.task_id = s.task_id and (s.erased_at is not null or (r.outcome -> 'output')::text = s.value::text))

-- name: decision_without_entry
-- Each decision has an audit entry of its own, and each such entry its decision.
-- class: broken
select coalesce(d.task_id, a.task_id) as id, coalesce('entry ' || a.seq, 'decision at entry ' || d.audit_seq) as what
  from (select * from decision where tenant_id = %(tenant)s) d
  full join (select * from audit where tenant_id = %(tenant)s and kind = 'task.decided') a
    on a.seq = d.audit_seq and a.task_id = d.task_id
 where d.task_id is null or a.seq is null

-- name: commit_after_stop
-- Nothing of a plan is committed after it was stopped.
-- class: broken
select d.task_id as id, 'entry ' || d.audit_seq || ' after ' || s.seq as what
  from audit s
  join task t on t.plan_id = s.plan_id and t.tenant_id = s.tenant_id
  join decision d on d.task_id = t.task_id and d.tenant_id = t.tenant_id and d.verdict = 'approve' and d.audit_seq > s.seq
 where s.tenant_id = %(tenant)s and s.kind in ('plan.cancelled_asked', 'plan.expired_asked')

-- name: lease_run_out
-- At rest no task runs on a lease that has run out.
-- class: unfinished
select task_id as id, 'since ' || lease_until as what from task
 where tenant_id = %(tenant)s and state = 'running' and lease_until < clock_timestamp()

-- name: wave_not_sent
-- At rest no wave is still to be sent.
-- class: unfinished
select plan_id as id, 'wave ' || wave_no as what from wave
 where tenant_id = %(tenant)s and state = 'in_flight' and published_at is null

-- name: wave_counts_wrong
-- A wave's counts are those of its tasks.
-- class: broken
select w.plan_id as id, 'wave ' || w.wave_no || ': approved ' || w.approved || ', there ' ||
       count(*) filter (where t.state = 'approved') as what
  from wave w join task t on t.plan_id = w.plan_id and t.wave_no = w.wave_no and t.tenant_id = w.tenant_id
 where w.tenant_id = %(tenant)s
 group by w.plan_id, w.wave_no, w.approved, w.denied, w.exhausted, w.cancelled, w.in_review
having count(*) filter (where t.state = 'approved') <> w.approved
    or count(*) filter (where t.state = 'denied') <> w.denied
    or count(*) filter (where t.state = 'exhausted') <> w.exhausted
    or count(*) filter (where t.state in ('cancelled', 'expired')) <> w.cancelled
    or count(*) filter (where t.state = 'in_review') <> w.in_review

-- name: card_and_task_differ
-- A card is decided once, as its task was; none of a plan that has ended waits for a person.
-- class: broken
select c.card_id as id, c.status || ', task ' || t.state as what
  from review_card c
  join task t on t.task_id = c.task_id and t.tenant_id = c.tenant_id
  join plan p on p.plan_id = t.plan_id and p.tenant_id = t.tenant_id
 where c.tenant_id = %(tenant)s and c.attempt = t.attempt
   and ((c.status in ('approved', 'edited') and t.state <> 'approved') or (c.status = 'denied' and t.state <> 'denied')
     or (c.status = 'pending' and p.state in ('completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')))

-- name: commit_without_quorum
-- What a card asked several people about is committed with as many approvals of the very result.
-- class: broken
select c.task_id as id, 'asked for ' || r.approvals_needed as what
  from commit c
  join review_card r on r.tenant_id = c.tenant_id and r.task_id = c.task_id and r.attempt = c.attempt
 where c.tenant_id = %(tenant)s and r.approvals_needed > 1
   and r.approvals_needed > (select count(*) from review_approval a where a.tenant_id = c.tenant_id
                                and a.card_id = r.card_id and a.result_sha256 = c.result_sha256)

-- name: left_reserved
-- Nothing is set aside for a task that has ended.
-- class: broken
select task_id as id, reserved_usd || ' USD and ' || reserved_tokens || ' tokens' as what from task
 where tenant_id = %(tenant)s and reserved_for is not null
   and state in ('approved', 'denied', 'exhausted', 'cancelled', 'expired')

-- name: account_not_as_its_tasks
-- What is set aside of a day and of a plan is what their tasks hold, and what a plan has spent is what its tasks have.
-- class: broken
with held as (
    select account, sum(usd) as usd, sum(tokens) as tokens
      from (select 'plan:' || replace(plan_id::text, '-', '') as account, reserved_usd as usd, reserved_tokens as tokens
              from task where tenant_id = %(tenant)s and reserved_for is not null
             union all
            select 'day:' || to_char(reserved_on, 'YYYY-MM-DD'), reserved_usd, reserved_tokens
              from task where tenant_id = %(tenant)s and reserved_for is not null) t
     group by account
), spent as (
    select plan_id, sum(spent_usd) as usd, sum(spent_tokens) as tokens from task where tenant_id = %(tenant)s group by plan_id
)
select b.account as id,
       b.reserved_usd || ' USD and ' || b.reserved_tokens || ' tokens set aside, ' || b.spent_usd || ' USD and '
       || b.spent_tokens || ' tokens spent' as what
  from budget b
  left join held h on h.account = b.account
  left join spent s on s.plan_id = b.plan_id
 where b.tenant_id = %(tenant)s
   and ((b.reserved_usd, b.reserved_tokens) <> (coalesce(h.usd, 0), coalesce(h.tokens, 0))
        or (b.plan_id is not null and (b.spent_usd, b.spent_tokens) <> (coalesce(s.usd, 0), coalesce(s.tokens, 0))))
