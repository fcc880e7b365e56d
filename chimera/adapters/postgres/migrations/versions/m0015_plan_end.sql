-- A plan of which tasks failed says so in its state. Plans that ended before keep the state that they ended with.
do $$
declare
    name text;
begin
    for name in select conname from pg_constraint
                 where conrelid = 'plan'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%''completed''%' loop
        execute format('alter table plan drop constraint %I', name);
    end loop;
end
$$;
alter table plan
    add constraint plan_state_known check (state in (
        'submitted', 'planning', 'running', 'in_review', 'stopping',
        'completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')),
    add constraint plan_end_has_time check (
        (state in ('completed', 'completed_with_failures', 'failed', 'cancelled', 'expired')) = (finished_at is not null));
