-- A worker's log names the trace of the plan's request, which its claim reads with the tasks. It is an id: of what the
-- plan asks for (goal, inputs) the role `worker` still reads nothing.
grant select (trace_id) on plan to chimera_worker;
