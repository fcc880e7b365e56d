-- A result names the version of the skill that made it, and its numbers are numbers.

-- Of both of the version's schemas: table skill has them, and never forgets one. The Judge checks outputs against what was
-- declared, and needs no code of the project's. Null where no skill ran, and in results from before.
alter table result add column fingerprint bytea check (length(fingerprint) = 32);

-- A version counts that everybody declared, or the tenant's own workers.
create function result_needs_version() returns trigger language plpgsql
    set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where n.fingerprint is not null and not exists (
        select from task t join skill s on s.name = t.skill and s.fingerprint = n.fingerprint
         where t.tenant_id = n.tenant_id and t.task_id = n.task_id
           and (s.tenants is null or n.tenant_id = any (s.tenants))))
    then perform refuse_dangling('a result needs the version of its task''s skill that it names'); end if;
    return null;
end
$$;
create trigger result_needs_version after insert on result
    referencing new table as new_rows for each statement execute function result_needs_version();

-- How much there is to gate, known without reading it; null in rows from before. Generated columns would be computed at
-- every update of a task, which has triggers before it. Who plans inserts tasks, and has no say in how long they are.
alter table task add column input_bytes integer check (input_bytes >= 0);
alter table result add column outcome_bytes integer check (outcome_bytes >= 0);
create function measure_input() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    new.input_bytes := octet_length(new.input::text);
    return new;
end
$$;
create trigger task_input_is_measured before update of input on task for each row execute function measure_input();
create function task_input_is_as_long() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows n where n.input_bytes <> octet_length(n.input::text)) then
        raise exception 'a task''s input is as long as it is' using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger task_input_is_as_long after insert on task
    referencing new table as new_rows for each statement execute function task_input_is_as_long();

-- A result is changed only by being erased: that holds for its new columns, too.
drop trigger result_erased on result;
create trigger result_erased before update on result for each row
    when (new.outcome is not null or old.erased_at is not null
          or (new.tenant_id, new.task_id, new.attempt, new.agent_id, new.sha256, new.tokens, new.cost_usd, new.started_at,
              new.finished_at, new.claimed_at, new.fingerprint, new.outcome_bytes)
             is distinct from
             (old.tenant_id, old.task_id, old.attempt, old.agent_id, old.sha256, old.tokens, old.cost_usd, old.started_at,
              old.finished_at, old.claimed_at, old.fingerprint, old.outcome_bytes))
    execute function refuse_change();

-- No Judge leaves a result to another any more.
alter table wave drop column judge_waits_since, drop column judge_at;

-- NaN is above all numbers, so it passes `>= 0`; and no number of thousands of digits is a price. The bounds are those of
-- chimera/models/work: result.py, json_schema.py. Rows from before are left as they are.
alter table result
    add constraint result_usage_is_finite
        check (tokens <= 1000000000000000 and cost_usd < 1000000000 and scale(cost_usd) <= 200) not valid,
    add constraint result_times_are_finite
        check (isfinite(started_at) and isfinite(finished_at) and started_at <= finished_at) not valid;
alter table review_card
    add constraint review_card_confidence_is_finite
        check (confidence > '-infinity' and confidence < 'infinity') not valid;
alter table task
    add constraint task_timeout_is_finite check (timeout_seconds < 'infinity') not valid;
alter table skill
    add constraint skill_timeout_is_finite check (timeout_seconds < 'infinity') not valid,
    add constraint skill_schemas_are_bounded
        check (octet_length(input_schema::text) <= 262144 and octet_length(output_schema::text) <= 262144) not valid;
