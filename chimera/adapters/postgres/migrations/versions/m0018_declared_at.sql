-- The statement's time in place of the clock's, which is read once for each column: in a new row both times are one.
alter table skill
    alter column first_seen set default statement_timestamp(), alter column last_seen set default statement_timestamp();
alter table planner
    alter column first_seen set default statement_timestamp(), alter column last_seen set default statement_timestamp();
