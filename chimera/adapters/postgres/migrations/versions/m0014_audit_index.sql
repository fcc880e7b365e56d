-- What people and parts other than the gate did, by time: "who approved what last month" reads a few entries among the
-- gate's decisions, which are nearly all of an audit and cost nothing here. Partitions that are made later get it when
-- they are attached.
create index audit_but_decisions on audit (tenant_id, at) where kind <> 'task.decided';
