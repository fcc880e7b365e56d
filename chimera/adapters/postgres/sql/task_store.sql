-- name: place
-- Where a task stands.
select plan_id, wave_no, ordinal from task where tenant_id = %(tenant)s and task_id = %(task)s

-- name: tasks
-- Tasks, those of the latest plan first, wave by wave: each plan's by its own index, and no more of them than are asked for.
select t.tenant_id, t.plan_id, t.task_id, t.parent_task_id, t.wave_no, t.ordinal, t.skill, t.state, t.attempt, t.max_attempts,
       t.created_at, t.started_at, t.finished_at
  from plan p
 cross join lateral (
       select * from task
        where task.tenant_id = p.tenant_id and task.plan_id = p.plan_id
          and (%(state)s::text is null or task.state = %(state)s)
          and (%(skill)s::text is null or task.skill = %(skill)s)
          and (%(after_plan)s::uuid is null or p.plan_id < %(after_plan)s
               or (task.wave_no, task.ordinal) > (%(after_wave)s::int, %(after_ordinal)s::int))
        order by task.wave_no, task.ordinal
        limit %(limit)s) t
 where p.tenant_id = %(tenant)s
   and (%(plan)s::uuid is null or p.plan_id = %(plan)s)
   and (%(after_plan)s::uuid is null or p.plan_id <= %(after_plan)s)
 order by p.plan_id desc, t.wave_no, t.ordinal
 limit %(limit)s
