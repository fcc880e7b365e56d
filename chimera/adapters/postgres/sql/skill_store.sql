-- name: declare_skills
-- Skills that a worker has. In one order, so that workers which start together do not wait for each other in a circle.
insert into skill as s (name, fingerprint, description, input_schema, output_schema, timeout_seconds, max_batch, max_attempts,
                        effects, examples, module)
select r.name, r.fingerprint, r.description, r.input_schema::json, r.output_schema::json, r.timeout_seconds, r.max_batch,
       r.max_attempts, array(select json_array_elements_text(r.effects::json)), r.examples::json, r.module
  from unnest(%(names)b::text[], %(fingerprints)b::bytea[], %(descriptions)b::text[], %(inputs)b::text[], %(outputs)b::text[],
              %(timeouts)b::float8[], %(batches)b::int[], %(attempts)b::int[], %(effects)b::text[], %(examples)b::text[],
              %(modules)b::text[])
       as r (name, fingerprint, description, input_schema, output_schema, timeout_seconds, max_batch, max_attempts, effects,
             examples, module)
 order by r.name
    on conflict (name, fingerprint) do update
       set description = excluded.description, timeout_seconds = excluded.timeout_seconds, max_batch = excluded.max_batch,
           max_attempts = excluded.max_attempts, effects = excluded.effects, examples = excluded.examples,
           module = excluded.module, last_seen = clock_timestamp()

-- name: declare_planners
-- Planners that a worker has.
insert into planner as p (name, fingerprint, description, input_schema, examples, has_replan, module)
select r.name, r.fingerprint, r.description, r.input_schema::json, r.examples::json, r.has_replan, r.module
  from unnest(%(names)b::text[], %(fingerprints)b::bytea[], %(descriptions)b::text[], %(inputs)b::text[],
              %(examples)b::text[], %(replans)b::bool[], %(modules)b::text[])
       as r (name, fingerprint, description, input_schema, examples, has_replan, module)
 order by r.name
    on conflict (name, fingerprint) do update
       set description = excluded.description, examples = excluded.examples, has_replan = excluded.has_replan,
           module = excluded.module, last_seen = clock_timestamp()

-- name: skills
-- All skills, or all versions of one; the version that was declared last first.
select name, description, input_schema, output_schema, timeout_seconds, max_batch, max_attempts, effects, examples, module,
       first_seen, last_seen
  from skill
 where %(name)s::text is null or name = %(name)s
 order by name, last_seen desc, fingerprint

-- name: planners
-- As `skills`, the planners.
select name, description, input_schema, examples, has_replan, module, first_seen, last_seen
  from planner
 where %(name)s::text is null or name = %(name)s
 order by name, last_seen desc, fingerprint

-- name: output_schemas
-- What outputs of these versions are checked against: under whatever name, the fingerprint is of the schemas.
select distinct on (fingerprint) fingerprint,
       case when octet_length(output_schema::text) <= %(max_bytes)s then output_schema::text end as output_schema
  from skill
 where fingerprint = any (%(fingerprints)b::bytea[])
 order by fingerprint
