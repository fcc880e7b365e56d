-- When tasks were made, when an agent first took them, and when they ended: by the database's clock.

-- Null in tasks from before. The statements that make, claim and end tasks write them, so that no row is written once more.
-- No update touches an indexed column: they stay on the page.
alter table task
    add column created_at timestamptz,
    add column started_at timestamptz,
    add column finished_at timestamptz;
-- The default comes after the column: rows that are there keep null. now() is the time of the planner's transaction.
alter table task alter column created_at set default now();

grant update (started_at) on task to chimera_worker;
grant update (finished_at) on task to chimera_judge;
