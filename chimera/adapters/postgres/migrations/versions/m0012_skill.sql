-- What skills and planners there are, as workers say when they start, and which waves wait for one.

-- The operator's, so of no tenant. A skill whose schemas change gets a row more, and no row is ever deleted: a result can be
-- checked against the schema of the skill as it was.
create table skill (
    name             text not null check (length(name) between 1 and 512),
    -- Of both schemas: what tells apart two versions of a skill.
    fingerprint      bytea not null
                     check (fingerprint = sha256(convert_to(input_schema::text || E'\n' || output_schema::text, 'UTF8'))),
    description      text not null,
    -- JSON Schemas of a call's arguments and of its output; canonical JSON.
    input_schema     json not null,
    output_schema    json not null,
    timeout_seconds  double precision not null check (timeout_seconds > 0),
    max_batch        integer not null check (max_batch >= 1),
    max_attempts     integer not null check (max_attempts >= 1),
    effects          text[] not null,
    -- A list of calls' arguments.
    examples         json not null,
    -- The Python module that declares it.
    module           text not null,
    first_seen       timestamptz not null default clock_timestamp(),
    -- When a worker that has it started last.
    last_seen        timestamptz not null default clock_timestamp(),
    primary key (name, fingerprint)
);

create table planner (
    name          text not null check (length(name) between 1 and 512),
    fingerprint   bytea not null check (fingerprint = sha256(convert_to(input_schema::text, 'UTF8'))),
    description   text not null,
    -- JSON Schema of a plan's inputs; canonical JSON.
    input_schema  json not null,
    examples      json not null,
    -- Whether it is asked about results that the gate sends back.
    has_replan    boolean not null,
    module        text not null,
    first_seen    timestamptz not null default clock_timestamp(),
    last_seen     timestamptz not null default clock_timestamp(),
    primary key (name, fingerprint)
);

grant select on skill, planner to chimera_app, chimera_worker, chimera_judge;
grant insert (name, fingerprint, description, input_schema, output_schema, timeout_seconds, max_batch, max_attempts, effects,
              examples, module) on skill to chimera_worker;
grant update (description, timeout_seconds, max_batch, max_attempts, effects, examples, module, last_seen)
    on skill to chimera_worker;
grant insert (name, fingerprint, description, input_schema, examples, has_replan, module) on planner to chimera_worker;
grant update (description, examples, has_replan, module, last_seen) on planner to chimera_worker;

alter table wave
    -- Since when queued tasks of it wait for an agent that has their skill; null where none does.
    add column skill_waits_since timestamptz,
    -- Since when staged results of it wait for a Judge that has their skill, and when another Judge is asked.
    add column judge_waits_since timestamptz,
    add column judge_at timestamptz;

grant update (skill_waits_since) on wave to chimera_app, chimera_worker;
grant select (tenant_id, plan_id, wave_no, state, skill_waits_since) on wave to chimera_worker;
