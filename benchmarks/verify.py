"""How fast an audit is verified: a log that the production functions make, read as `chimera audit verify` does.

    ./run bench verify --n 1000000

The log has one decision an entry, each with its result and commit, and a checkpoint every 20,000 entries. Besides rows
a second of the clock it says how many a core does: by the processor time of this process and of PostgreSQL's, which a
busy machine does not change much.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.stack import servers
from chimera.models.audit.audit import GENESIS, AuditEntry, AuditEvent, chain
from chimera.models.audit.checkpoint import NO_CHECKPOINT, Checkpoint, UnsignedCheckpoint, sign
from chimera.models.audit.kinds import AuditKind
from chimera.models.audit.proof import ChainWalk
from chimera.models.audit.trust import TrustedKey, new_key
from chimera.models.ids import IdKind, format_id
from chimera.models.record import canonical_json, sha256

WAVE = 400
SEAL_EVERY = 20_000
TENANT = "bench"
AGENT = UUID(int=1)
POLICY = "built-in@0/0123456789abcdef"

AUDIT = "audit (tenant_id, seq, at, kind, actor, plan_id, task_id, body, payload, hash)"
RESULT = "result (tenant_id, task_id, attempt, agent_id, outcome, sha256, started_at, finished_at)"
DECISION = (
    "decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, decided_by,"
    " decided_at, audit_seq)"
)
COMMIT = "commit (tenant_id, task_id, attempt, result_sha256, committed_at)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="entries")
    count = parser.parse_args().n
    with servers() as variables:
        from chimera.bootstrap import services
        from chimera.services.audit_proof import AuditProof, KeptCheckpoints

        private = Ed25519PrivateKey.generate()
        began = perf_counter()
        with psycopg.connect(_superuser(variables), autocommit=False) as connection:
            checkpoints, trusted = _build(connection, count, private)
        _vacuum(variables)
        print(f"{count:,} entries and {len(checkpoints)} checkpoints made in {perf_counter() - began:.0f} s")
        log = services().adapters.audit_log
        now = datetime.now(UTC)

        def walk() -> bool:
            chain_walk = ChainWalk(TENANT)
            with log.view(TENANT) as view:
                return all(chain_walk.take(rows) is None for rows in view.entries(0)) and chain_walk.seq == count

        def everything() -> bool:
            kept = KeptCheckpoints(place="memory", checkpoints=checkpoints)
            report = AuditProof(log, [trusted]).verify(TENANT, [kept], now)
            return report.ok and report.rows == report.sealed_seq == count

        clean = [_timed("chain alone", count, walk), _timed("all of `audit verify`", count, everything)]
        sys.exit(not all(clean))


def _timed(name: str, count: int, verify: Callable[[], bool]) -> bool:
    began, used, asked = perf_counter(), process_time(), _postgres_seconds()
    clean = verify()
    seconds, own, theirs = perf_counter() - began, process_time() - used, _postgres_seconds() - asked
    speed = f"{count / seconds:>9,.0f} rows/s by the clock, {count / (own + theirs):>9,.0f} a core"
    speed += f"   ({seconds:.1f} s; {own:.1f} s of this process, {theirs:.1f} s of PostgreSQL)"
    print(f"{name:<22} {speed}   {'clean' if clean else 'FALSE ALARM'}")
    return clean


def _postgres_seconds() -> float:
    """The processor time of the server and its children so far, those that have ended included (proc(5))."""
    [file] = Path(os.environ["CHIMERA_DATA"]).glob("postgres/**/postmaster.pid")
    server = int(file.read_text().split()[0])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    ticks = sum(sum(map(int, _stat(server)[11:15])) if pid == server else sum(map(int, _stat(pid)[11:13]))
                for pid in (server, *map(int, children)))  # fmt: skip
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """From the third field on: what comes before may have spaces in it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _build(
    connection: psycopg.Connection, count: int, private: Ed25519PrivateKey
) -> tuple[list[Checkpoint], TrustedKey]:
    """Writes the log past all triggers; returns its checkpoints and the key that signed them."""
    start = datetime.now(UTC) - timedelta(days=30)
    trusted = new_key(private, start)
    connection.execute("set session_replication_role = replica")
    connection.execute("select set_config('chimera.tenant', %s, false)", [TENANT])
    connection.execute("delete from audit where tenant_id = %s", [TENANT])
    checkpoints: list[Checkpoint] = []
    seq, previous, at = 0, GENESIS, start
    numbers = iter(range(1, count + 1))
    while wave := list(islice(numbers, WAVE)):
        at += timedelta(seconds=1)
        entries = chain(TENANT, seq, previous, at, map(_event, wave))
        _copy(connection, entries)
        seq, previous = entries[-1].seq, entries[-1].hash
        if seq // SEAL_EVERY > len(checkpoints) or seq == count:
            draft = UnsignedCheckpoint(
                origin="bench",
                tenant_id=TENANT,
                number=len(checkpoints) + 1,
                seq=seq,
                hash=previous.hex(),
                previous=checkpoints[-1].digest if checkpoints else NO_CHECKPOINT,
            )
            checkpoints.append(sign(draft, private, at + timedelta(seconds=1)))
    connection.execute("update audit_head set seq = %s, hash = %s where tenant_id = %s", [seq, previous, TENANT])
    return checkpoints, trusted


def _outcome(number: int) -> str:
    output = {"category": "billing", "urgent": False, "number": number}
    rest = {"status": "success", "confidence": 0.93, "reasoning": None, "evidence": []}
    return canonical_json(rest | {"output": output})


def _event(number: int) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.TASK_DECIDED,
        actor="policy",
        plan_id=UUID(int=number // 10_000 + 1),
        task_id=UUID(int=(1 << 120) + number),
        facts={
            "agent_id": format_id(IdKind.AGENT, AGENT),
            "attempt": 1,
            "verdict": "approve",
            "state": "approved",
            "final": True,
            "committed": True,
            "reasons": [],
            "policy_version": POLICY,
            "result_sha256": sha256(_outcome(number)).hex(),
        },
    )


def _copy(connection: psycopg.Connection, entries: list[AuditEntry]) -> None:
    def rows(table: str) -> Iterator[tuple[object, ...]]:
        for e in entries:
            outcome = _outcome(e.seq)
            digest = sha256(outcome)
            if table == AUDIT:
                yield (TENANT, e.seq, e.at, e.kind, e.actor, e.plan_id, e.task_id, e.body, e.payload, e.hash)
            elif table == RESULT:
                yield (TENANT, e.task_id, 1, AGENT, outcome, digest, e.at, e.at)
            elif table == DECISION:
                yield (TENANT, e.task_id, 1, "approve", digest, True, "[]", POLICY, "policy", e.at, e.seq)
            else:
                yield (TENANT, e.task_id, 1, digest, e.at)

    for table in (AUDIT, RESULT, DECISION, COMMIT):
        with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin".encode()) as copy:
            for row in rows(table):
                copy.write_row(row)


def _superuser(variables: dict[str, str]) -> str:
    """The embedded server's superuser, who alone passes by triggers."""
    secrets = json.loads((Path(os.environ["CHIMERA_DATA"]) / "passwords.json").read_text())
    parts = urlsplit(variables["CHIMERA_OWNER_DATABASE_URL"])
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"postgres:{secrets['postgres']}@{address}"))


def _vacuum(variables: dict[str, str]) -> None:
    """As autovacuum would have done over a month."""
    with psycopg.connect(_superuser(variables), autocommit=True) as connection:
        connection.execute("vacuum analyze")


if __name__ == "__main__":
    main()
