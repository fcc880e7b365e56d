"""Appending to the audit, 1,000 entries a transaction: partitioned by month, and as the one table that it was before.

Both stand in one database, and their rounds take turns. Prints one line each, or with --json one document: entries a
second, and milliseconds a transaction (median and the middle 80 %).
"""

import argparse
import json
import statistics
from time import perf_counter
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from benchmarks import stack
from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.system_clock import SystemClock
from chimera.models.audit.audit import AuditEvent, chain
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import canonical_json

TENANT = "bench"


def event(number: int) -> AuditEvent:
    """A decision's entry, of the usual length."""
    facts = {
        "attempt": 1,
        "verdict": "approve",
        "state": "approved",
        "final": True,
        "reasons": [],
        "policy_version": "default@1 0123456789ab",
        "result_sha256": f"{number:064x}",
    }
    clock = SystemClock()
    return AuditEvent(
        kind=AuditKind.TASK_DECIDED, actor="policy", plan_id=clock.new_id(), task_id=clock.new_id(), facts=facts
    )


# The table and its head as the first migration made them.
ONE_TABLE = """
create table one_audit (like audit including defaults including constraints);
alter table one_audit add primary key (tenant_id, seq);
create table one_audit_head (like audit_head including all) with (fillfactor = 20);
insert into one_audit_head select * from audit_head;
alter table one_audit enable row level security;
alter table one_audit force row level security;
create policy one_audit_of_tenant on one_audit using (tenant_id = (select current_tenant()));
alter table one_audit_head enable row level security;
alter table one_audit_head force row level security;
create policy one_audit_head_of_tenant on one_audit_head using (tenant_id = (select current_tenant()));
"""
_SQL = statements("chain")
# What appending was before a function of the schema did it.
_LOCK_HEAD = "select seq, hash, clock_timestamp() as at from one_audit_head where tenant_id = %(tenant)s for update"
_APPEND = """
insert into one_audit (tenant_id, seq, at, kind, actor, plan_id, task_id, body, payload, hash)
select %(tenant)s, r.seq, %(at)s, r.kind, r.actor, r.plan_id, r.task_id, r.body, r.payload, r.hash
  from unnest(%(seqs)b::bigint[], %(kinds)b::text[], %(actors)b::text[], %(plans)b::uuid[], %(tasks)b::uuid[],
              %(bodies)b::text[], %(payloads)b::text[], %(hashes)b::bytea[])
       as r (seq, kind, actor, plan_id, task_id, body, payload, hash)
"""
_MOVE_HEAD = "update one_audit_head set seq = %(seq)s, hash = %(hash)s where tenant_id = %(tenant)s"


def append(connection: psycopg.Connection[DictRow], events: list[AuditEvent], *, by_month: bool) -> None:
    """One transaction: by month by the schema's function, to the one table as it was done before."""
    scope = {"tenant": TENANT}
    with connection.pipeline(), connection.transaction():
        _speak(connection)
        if by_month:
            rows = [(e.kind.value, e.actor, e.plan_id, e.task_id, canonical_json(e.facts)) for e in events]
            connection.execute(_SQL["append"], columns(rows, "kinds actors plans tasks payloads")).fetchone()
            return
        head = connection.execute(_LOCK_HEAD, scope).fetchone()
        assert head is not None
        entries = chain(TENANT, head["seq"], head["hash"], head["at"], events)
        arrays = columns(
            [(e.seq, e.kind, e.actor, e.plan_id, e.task_id, e.body, e.payload, e.hash) for e in entries],
            "seqs kinds actors plans tasks bodies payloads hashes",
        )
        connection.execute(_APPEND, scope | arrays | {"at": head["at"]})
        connection.execute(_MOVE_HEAD, scope | {"seq": entries[-1].seq, "hash": entries[-1].hash})


def _speak(connection: psycopg.Connection[DictRow]) -> None:
    connection.execute(
        "select set_config('chimera.tenant', %s, true), set_config('plan_cache_mode', 'force_custom_plan', true)",
        [TENANT],
    )


def measure(rounds: int, entries: int) -> dict[str, dict[str, Any]]:
    """What the rounds took, on either table."""
    took: dict[bool, list[float]] = {True: [], False: []}
    with stack.servers() as variables:
        url = variables["CHIMERA_OWNER_DATABASE_URL"]
        with psycopg.connect(url, row_factory=dict_row, autocommit=True) as connection:
            with connection.transaction():
                _speak(connection)
                connection.execute(ONE_TABLE)
            for number in range(rounds):
                events = [event(place) for place in range(entries)]
                for by_month in sorted(took, reverse=number % 2 == 0):
                    begun = perf_counter()
                    append(connection, events, by_month=by_month)
                    took[by_month].append(1000 * (perf_counter() - begun))
    names = {False: "one table", True: "by month"}
    return {names[by_month]: _figures(times[rounds // 10 :], entries) for by_month, times in sorted(took.items())}


def _figures(times: list[float], entries: int) -> dict[str, Any]:
    tenths = statistics.quantiles(times, n=10)
    median = statistics.median(times)
    rate = 1000 * entries / median
    return {"entries_per_second": rate, "median_ms": median, "low_ms": tenths[0], "high_ms": tenths[-1]}


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="run bench audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.rounds, arguments.entries)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(
            f"{name:<10} {figures['entries_per_second']:>9,.0f} entries/s   {figures['median_ms']:.1f} ms"
            f"  ({figures['low_ms']:.1f} to {figures['high_ms']:.1f})"
        )


if __name__ == "__main__":
    main()
