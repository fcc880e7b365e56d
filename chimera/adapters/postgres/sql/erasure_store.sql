-- name: plans_of
-- A plan with those that try it again and those that it tries again, all the way.
with recursive up as (
    select plan_id, retry_of from plan where tenant_id = %(tenant)s and plan_id = %(plan)s
    union
    select p.plan_id, p.retry_of from plan p join up on p.plan_id = up.retry_of where p.tenant_id = %(tenant)s
), down as (
    select plan_id from up
    union
    select p.plan_id from plan p join down on p.retry_of = down.plan_id where p.tenant_id = %(tenant)s
)
select plan_id from down

-- name: tasks_of
-- A task with its copies: those that try it again and those that it tries again, all the way.
with recursive up as (
    select task_id, parent_task_id from task where tenant_id = %(tenant)s and task_id = %(task)s
    union
    select t.task_id, t.parent_task_id from task t join up on t.task_id = up.parent_task_id where t.tenant_id = %(tenant)s
), down as (
    select task_id from up
    union
    select t.task_id from task t join down on t.parent_task_id = down.task_id where t.tenant_id = %(tenant)s
)
select t.task_id, t.plan_id
  from down
  join task t on t.tenant_id = %(tenant)s and t.task_id = down.task_id

-- name: waves_in_review
-- Waves of these plans with tasks that wait for people, in one order.
select distinct plan_id, wave_no from task
 where tenant_id = %(tenant)s and plan_id = any (%(plans)b::uuid[]) and state = 'in_review'
 order by plan_id, wave_no

-- name: in_review
-- Of these tasks those that wait for people, with what their cards show; in the plans' order.
select t.plan_id, t.wave_no, t.task_id, t.attempt, t.agent_id, t.state as found, c.card_id, c.version,
       coalesce(v.sha256, c.result_sha256) as result_sha256,
       array(select a.approved_by from review_approval a
              where a.tenant_id = c.tenant_id and a.card_id = c.card_id
                and a.result_sha256 = coalesce(v.sha256, c.result_sha256)
              order by a.approved_at, a.approved_by) as approvals
  from task t
  join review_card c on c.tenant_id = t.tenant_id and c.task_id = t.task_id and c.attempt = t.attempt and c.status = 'pending'
  left join revision v on v.tenant_id = c.tenant_id and v.card_id = c.card_id and v.number = c.revision
 where t.tenant_id = %(tenant)s and t.task_id = any (%(task_ids)b::uuid[]) and t.state = 'in_review'
 order by t.plan_id, t.wave_no, t.ordinal

-- name: deny_cards
-- What becomes of their cards.
update review_card
   set status = 'denied', decided_by = %(who)s, decided_at = clock_timestamp(), version = version + 1
 where tenant_id = %(tenant)s and card_id = any (%(card_ids)b::uuid[])

-- name: lock_plans
-- Plans in one order, so that nobody makes another copy meanwhile.
select plan_id, state from plan where tenant_id = %(tenant)s and plan_id = any (%(plans)b::uuid[]) order by plan_id for update

-- name: tasks_of_plans
-- All tasks of these plans.
select task_id from task where tenant_id = %(tenant)s and plan_id = any (%(plans)b::uuid[]) order by task_id

-- name: erase_plans
-- What a plan was asked for, and the message of its failure.
update plan
   set goal = '', inputs = null, erased_at = clock_timestamp(),
       failure = case when failure is not null then json_build_object('code', failure -> 'code', 'message', 'redacted') end
 where tenant_id = %(tenant)s and plan_id = any (%(plans)b::uuid[]) and erased_at is null
returning plan_id

-- name: erase_tasks
-- What tasks were given, what they should have answered, and what was said of their answers.
update task
   set input = null, label = null, feedback = null, erased_at = clock_timestamp()
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and erased_at is null
returning task_id

-- name: forget_replanned
-- What earlier attempts of theirs were given.
delete from replanned where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[])

-- name: erase_results
-- What they answered, in every attempt.
update result
   set outcome = null, erased_at = clock_timestamp()
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and erased_at is null
returning task_id, attempt

-- name: erase_cards
-- What people noted.
update review_card
   set note = null, erased_at = clock_timestamp()
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and erased_at is null
returning task_id, card_id

-- name: erase_revisions
-- What people made of it.
update revision
   set outcome = null, note = null, erased_at = clock_timestamp()
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and erased_at is null

-- name: erase_state
-- What of their answers still is shared state.
update state
   set value = null, erased_at = clock_timestamp()
 where tenant_id = %(tenant)s and task_id = any (%(task_ids)b::uuid[]) and erased_at is null
returning task_id, key
