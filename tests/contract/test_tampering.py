"""Whoever may change everything in the database, as its superuser with triggers off, is found out."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from psycopg.rows import DictRow, dict_row

from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import SIGNING_KEY, KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.audit_log import AuditView
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.models.audit.audit import chained
from chimera.models.audit.checkpoint import NO_CHECKPOINT, Checkpoint, UnsignedCheckpoint, sign
from chimera.models.audit.trust import TrustedKey
from chimera.models.record import canonical_json, sha256
from chimera.ports import audit_log as port
from chimera.services.audit_proof import AuditProof, KeptCheckpoints, Report
from chimera.services.checkpointer import Checkpointer
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene, approve, deny, retry, success
from tests.contract.worlds import PostgresWorld
from tests.exhaustive import Some

POSITIONS, KEPT = 100, 8

Connection = psycopg.Connection[DictRow]
Tampering = Callable[["Log", random.Random], None]


@dataclass(frozen=True)
class Log:
    """A tenant's audit with decisions of every kind, sealed to its end, and whoever may change it."""

    connection: Connection
    tenant_id: str
    # Somebody else's, with as many entries.
    other: str
    length: int
    keys: tuple[TrustedKey, ...]
    checkpoints: tuple[Checkpoint, ...]
    # The private side of the first key, which was retired half way: that somebody kept a copy of.
    retired: Ed25519PrivateKey

    def run(self, statement: str, **values: Any) -> int:
        """Changes rows of the tenant; returns how many."""
        return self.connection.execute(statement.encode(), {"tenant": self.tenant_id} | values).rowcount

    def rows(self, statement: str, **values: Any) -> list[DictRow]:
        return self.connection.execute(statement.encode(), {"tenant": self.tenant_id} | values).fetchall()

    def verify(self, *kept: KeptCheckpoints) -> Report:
        places = kept or (KeptCheckpoints(place="outside", checkpoints=self.checkpoints),)
        return AuditProof(OpenLog(self.connection), self.keys).verify(
            self.tenant_id, places, datetime.now(UTC) + timedelta(hours=1)
        )


class OpenLog(port.AuditLog):
    """The audit as an unfinished transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def view(self, tenant_id: str) -> Iterator[AuditView]:
        yield AuditView(self._connection, tenant_id)


@pytest.fixture(scope="module")
def log(
    servers: dict[str, str],
    owner_database: Database,
    seal_database: Database,
    postgres_world: PostgresWorld,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("audit")
    clock = SystemClock()
    ring, place = KeyRing(folder / "keys", clock), CheckpointPlace(folder / "checkpoints")
    ring.create()
    retired = load_pem_private_key((folder / "keys" / SIGNING_KEY).read_bytes(), None)
    assert isinstance(retired, Ed25519PrivateKey)
    sealer = Checkpointer(CheckpointStore(seal_database), [place], ring, clock, origin="tests", interval_seconds=60.0)
    tenants = new_tenant_id(), new_tenant_id()
    for tenant_id in tenants:
        TenantStore(owner_database).add(tenant_id, "tests")
        scene = Scene(postgres_world, tenant_id)
        for turn in range(6):
            live(scene, turn)
            sealer.seal(tenant_id)
            if (tenant_id, turn) == (tenants[1], 2):
                ring.rotate()
    # The other tenant first: the one that is looked at has checkpoints of both keys.
    other, tenant_id = tenants
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], row_factory=dict_row) as connection:
        connection.execute("set session_replication_role = replica")
        # Who may do anything drops what refuses an approval of nothing, too.
        connection.execute("alter table decision drop constraint decision_approves_a_result")
        connection.execute("set timezone = 'UTC'")
        [row] = connection.execute("select seq from audit_head where tenant_id = %s", [tenant_id]).fetchall()
        yield Log(
            connection=connection,
            tenant_id=tenant_id,
            other=other,
            length=row["seq"],
            keys=ring.trusted(),
            checkpoints=tuple(place.read(tenant_id)),
            retired=retired,
        )
        connection.rollback()


def live(scene: Scene, turn: int) -> None:
    """A plan of each kind."""
    planned = scene.plan(24)
    scene.send()
    third = len(planned.ids) // 3
    for task_ids, says in (
        (planned.ids[:third], approve),
        (planned.ids[third : 2 * third], deny),
        (planned.ids[2 * third :], scene.hitl),
    ):
        scene.stage(scene.claim(planned.wave, task_ids), success(f"in turn {turn}"))
        scene.judge(planned.wave, says)
    for number, card in enumerate(scene.cards(planned.plan_id)):
        if number % 4 == 0:
            scene.edit(card, f"better in turn {turn}", by="ann")
        else:
            scene.decide(card, approve=number % 2 == 0, by="ann", note=f"note {number}")
    again = scene.plan(4)
    scene.judge(scene.work_off(again), retry)
    scene.judge(scene.work_off(again), approve)
    shared = scene.plan(1, state_key=f"key {turn % 2}")
    scene.judge(scene.work_off(shared, success(turn)), approve)
    stopped = scene.plan(3)
    scene.stop(stopped.plan_id)
    scene.stop_wave(stopped.wave)


@pytest.fixture
def undone(log: Log) -> Iterator[Log]:
    with log.connection.transaction(force_rollback=True):
        yield log


def test_a_clean_log_is_clean(log: Log) -> None:
    report = log.verify()
    assert report.faults == ()
    assert report.ok
    assert report.rows == report.seq == report.sealed_seq == log.length
    assert log.length > 200
    assert {checkpoint.key_id for checkpoint in log.checkpoints} == {key.key_id for key in log.keys}


def test_only_the_newest_is_believed_too(log: Log) -> None:
    report = log.verify(KeptCheckpoints(place="outside", checkpoints=log.checkpoints[-1:]))
    assert report.ok


# Columns, one by one. What the tables' checks refuse even a superuser is changed together with what they compare.

_OTHER = {
    "text": "{} || 'x'",
    "bigint": "{} + 1000000",
    "smallint": "{} + 1",
    "uuid": "gen_random_uuid()",
    "bytea": "sha256({})",
    "json": '\'[{{"rule":"forged"}}]\'',
    "timestamp with time zone": "{} - interval '1 hour'",
}
AUDIT_COLUMNS = ("seq", "at", "kind", "actor", "plan_id", "task_id", "body", "payload", "hash")
DECISION_COLUMNS = (
    "task_id", "attempt", "result_sha256", "reasons", "policy_version", "decided_by", "decided_at", "audit_seq",
)  # fmt: skip
COMMIT_COLUMNS = ("task_id", "attempt", "result_sha256", "state_key", "state_version", "committed_at")


def column(table: str, name: str, place: str) -> Tampering:
    """Changes one column of the row at a place."""

    def tamper(log: Log, chance: random.Random) -> None:
        [kind] = log.rows(
            "select data_type from information_schema.columns where table_name = %(table)s and column_name = %(name)s "
            "and table_schema = 'public'",
            table=table,
            name=name,
        )
        value = _OTHER[kind["data_type"]].format(f"{table}.{name}")
        if name in {"state_key", "state_version"}:
            value = f"coalesce({value}, {'7' if name == 'state_version' else repr('k')})"
        changed = log.run(
            f"update {table} set {name} = {value} where tenant_id = %(tenant)s and {place}",
            **picked(log, table, chance),
        )
        assert changed == 1

    return tamper


def picked(log: Log, table: str, chance: random.Random) -> dict[str, Any]:
    """A row of a table."""
    if table == "audit":
        return {"seq": chance.randint(1, log.length)}
    order = {"decision": "audit_seq", "commit": "task_id", "result": "task_id, attempt"}[table]
    where = "and exists (select from decision d where d.task_id = result.task_id and d.attempt = result.attempt)"
    rows = log.rows(
        f"select * from {table} where tenant_id = %(tenant)s {where if table == 'result' else ''} order by {order}"
    )
    row = chance.choice(rows)
    return {name: row[name] for name in ("task_id", "attempt", "audit_seq") if name in row}


AUDIT, DECISION = "seq = %(seq)s", "audit_seq = %(audit_seq)s"
RESULT = "task_id = %(task_id)s and attempt = %(attempt)s"


def other_verdict(log: Log, chance: random.Random) -> None:
    rows = log.rows(
        "select audit_seq, verdict, final from decision where tenant_id = %(tenant)s and verdict <> 'hitl' "
        "order by audit_seq"
    )
    row = chance.choice(rows)
    other = {("approve", True): "deny", ("deny", True): "approve", ("deny", False): "hitl"}[
        row["verdict"], row["final"]
    ]
    log.run(
        "update decision set verdict = %(verdict)s where tenant_id = %(tenant)s and audit_seq = %(seq)s",
        verdict=other,
        seq=row["audit_seq"],
    )


def other_final(log: Log, chance: random.Random) -> None:
    rows = log.rows(
        "select audit_seq from decision where tenant_id = %(tenant)s and verdict = 'deny' and final order by audit_seq"
    )
    log.run(
        "update decision set final = not final where tenant_id = %(tenant)s and audit_seq = %(seq)s",
        seq=chance.choice(rows)["audit_seq"],
    )


def no_payload(log: Log, chance: random.Random) -> None:
    log.run(
        "update audit set payload = null where tenant_id = %(tenant)s and seq = %(seq)s", **picked(log, "audit", chance)
    )


def other_payload(log: Log, chance: random.Random) -> None:
    """The payload of another entry."""
    seq, other = chance.sample(range(1, log.length + 1), 2)
    [mine, theirs] = (
        log.rows("select payload from audit where tenant_id = %(tenant)s and seq = %(seq)s", seq=n)
        for n in (seq, other)
    )
    if mine == theirs:
        theirs = [{"payload": "{}" if mine != [{"payload": "{}"}] else '{"a":1}'}]
    log.run(
        "update audit set payload = %(payload)s where tenant_id = %(tenant)s and seq = %(seq)s",
        seq=seq,
        payload=theirs[0]["payload"],
    )


def other_outcome(log: Log, chance: random.Random) -> None:
    log.run(
        """update result set outcome = %(text)s::json, sha256 = sha256(convert_to(%(text)s::text, 'UTF8'))
            where tenant_id = %(tenant)s and task_id = %(task_id)s and attempt = %(attempt)s""",
        text='{"status":"success","output":"forged"}',
        **picked(log, "result", chance),
    )


def other_revision(log: Log, chance: random.Random) -> None:
    log.run(
        """update revision set outcome = %(text)s::json, sha256 = sha256(convert_to(%(text)s::text, 'UTF8'))
            where tenant_id = %(tenant)s and (card_id, number) = (%(card)s, %(number)s)""",
        text='{"status":"success","output":"forged"}',
        **a_revision(log, chance),
    )


def no_revision(log: Log, chance: random.Random) -> None:
    log.run(
        "delete from revision where tenant_id = %(tenant)s and (card_id, number) = (%(card)s, %(number)s)",
        **a_revision(log, chance),
    )


def a_revision(log: Log, chance: random.Random) -> dict[str, Any]:
    rows = log.rows(
        "select card_id as card, number from revision where tenant_id = %(tenant)s order by card_id, number"
    )
    return chance.choice(rows)


def other_outcome_everywhere(log: Log, chance: random.Random) -> None:
    """Result, decision and commit, all of one mind; the audit is not."""
    rows = log.rows("select task_id, attempt from commit where tenant_id = %(tenant)s order by task_id")
    text = '{"status":"success","output":"forged"}'
    values = chance.choice(rows) | {"text": text, "sha": sha256(text)}
    place = "where tenant_id = %(tenant)s and task_id = %(task_id)s and attempt = %(attempt)s"
    log.run(f"update result set outcome = %(text)s::json, sha256 = %(sha)s {place}", **values)
    log.run(f"update decision set result_sha256 = %(sha)s {place} and verdict = 'approve'", **values)
    log.run(f"update commit set result_sha256 = %(sha)s {place}", **values)


def other_state(log: Log, chance: random.Random) -> None:
    key = f"key {chance.randint(0, 1)}"
    change = chance.choice(["value = '\"forged\"'", "version = version + 1", "key = key || 'x'"])
    assert log.run(f"update state set {change} where tenant_id = %(tenant)s and key = %(key)s", key=key) == 1


# Rows.


def delete(table: str, place: str) -> Tampering:
    def tamper(log: Log, chance: random.Random) -> None:
        values = picked(log, table, chance)
        assert log.run(f"delete from {table} where tenant_id = %(tenant)s and {place}", **values) == 1

    return tamper


def insert(log: Log, chance: random.Random) -> None:
    """An entry between two others: those after it move on."""
    seq = chance.randint(1, log.length)
    shift(log, seq)
    log.run(
        """insert into audit (tenant_id, seq, at, kind, actor, body, payload, hash)
           select tenant_id, %(seq)s, at, kind, 'eve', body, payload, hash from audit
            where tenant_id = %(tenant)s and seq = %(from)s""",
        **{"seq": seq, "from": seq + 1},
    )


def shift(log: Log, seq: int, by: int = 1) -> None:
    """Moves the entries from one on, in two steps because no two may have one sequence."""
    far = 1_000_000
    log.run("update audit set seq = seq + %(far)s where tenant_id = %(tenant)s and seq >= %(seq)s", seq=seq, far=far)
    log.run(
        "update audit set seq = seq - %(far)s + %(by)s where tenant_id = %(tenant)s and seq >= %(far)s", far=far, by=by
    )


def insert_decision(log: Log, chance: random.Random) -> None:
    """An approval of something that was denied, with its commit, and nothing in the audit."""
    rows = log.rows(
        "select * from decision where tenant_id = %(tenant)s and verdict = 'deny' and result_sha256 <> '' "
        "order by audit_seq"
    )
    row = chance.choice(rows)
    log.run(
        """insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version,
                                 decided_by, decided_at, audit_seq)
           select tenant_id, gen_random_uuid(), attempt, 'approve', result_sha256, true, reasons, policy_version,
                  decided_by, decided_at, audit_seq
             from decision where tenant_id = %(tenant)s and audit_seq = %(seq)s""",
        seq=row["audit_seq"],
    )


def insert_commit(log: Log, chance: random.Random) -> None:
    """What was denied, committed."""
    rows = log.rows(
        """select task_id from decision where tenant_id = %(tenant)s and verdict = 'deny' and final
              and result_sha256 <> '' order by audit_seq"""
    )
    log.run(
        """insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at)
           select tenant_id, task_id, attempt, result_sha256, decided_at
             from decision where tenant_id = %(tenant)s and task_id = %(task)s and final""",
        task=chance.choice(rows)["task_id"],
    )


def reorder(log: Log, chance: random.Random) -> None:
    first, second = sorted(chance.sample(range(1, log.length + 1), 2))
    for before, after in ((first, 1_000_000), (second, first), (1_000_000, second)):
        log.run(
            "update audit set seq = %(after)s where tenant_id = %(tenant)s and seq = %(before)s",
            before=before,
            after=after,
        )


def backdate(log: Log, chance: random.Random) -> None:
    """Everywhere in the row, its text and the decision; the hashes stay."""
    seq = chance.randint(1, log.length)
    [row] = log.rows("select at, body from audit where tenant_id = %(tenant)s and seq = %(seq)s", seq=seq)
    at = row["at"] - timedelta(days=chance.randint(1, 300))
    body = row["body"].replace(row["at"].isoformat(), at.isoformat())
    assert body != row["body"]
    values = {"seq": seq, "at": at, "body": body}
    log.run("update audit set at = %(at)s, body = %(body)s where tenant_id = %(tenant)s and seq = %(seq)s", **values)
    log.run("update decision set decided_at = %(at)s where tenant_id = %(tenant)s and audit_seq = %(seq)s", **values)


def move(log: Log, chance: random.Random) -> None:
    """An entry of another tenant's in the place of one of this tenant's, which goes there."""
    seq = chance.randint(2, log.length)
    far = seq + 1_000_000
    place = "where tenant_id = %(from)s and seq = %(seq)s"
    update = f"update audit set tenant_id = %(to)s, seq = %(as)s {place}"
    log.run(update, **{"from": log.tenant_id, "to": log.other, "seq": seq, "as": far})
    log.run(update, **{"from": log.other, "to": log.tenant_id, "seq": seq, "as": seq})


def cut(log: Log, chance: random.Random) -> None:
    """The end of the audit, and all that was decided there; the head says that it ends there."""
    seq = chance.randint(0, log.length - 1)
    for table, name in (("audit", "seq"), ("decision", "audit_seq"), ("audit_checkpoint", "seq")):
        log.run(f"delete from {table} where tenant_id = %(tenant)s and {name} > %(seq)s", seq=seq)
    log.run(
        """delete from commit c where tenant_id = %(tenant)s
              and not exists (select from decision d where d.task_id = c.task_id and d.verdict = 'approve')"""
    )
    log.run("delete from state where tenant_id = %(tenant)s")
    log.run(
        """insert into state (tenant_id, key, value, version, task_id, changed_at)
           select c.tenant_id, c.state_key, r.outcome -> 'output', c.state_version, c.task_id, c.committed_at
             from (select distinct on (state_key) * from commit where tenant_id = %(tenant)s and state_key is not null
                    order by state_key, state_version desc) c
             join result r on r.task_id = c.task_id and r.attempt = c.attempt and r.tenant_id = c.tenant_id"""
    )
    head(log)


def older_copy(log: Log, chance: random.Random) -> None:
    """All tables as they were at a checkpoint, and work that went on from there."""
    cut(log, chance)
    entries = log.rows("select * from audit where tenant_id = %(tenant)s order by seq desc limit 1")
    if not entries:
        return
    [last] = entries
    for seq in range(last["seq"] + 1, log.length + 1):
        at = last["at"] + timedelta(milliseconds=seq)
        text = {
            "actor": "app", "at": at.isoformat(), "kind": "plan.planned", "plan_id": None, "seq": seq, "task_id": None,
            "payload_sha256": sha256("{}").hex(), "tenant_id": log.tenant_id,
        }  # fmt: skip
        body = canonical_json(text)
        digest = chained(last["hash"], body)
        log.run(
            """insert into audit (tenant_id, seq, at, kind, actor, body, payload, hash)
               values (%(tenant)s, %(seq)s, %(at)s, 'plan.planned', 'app', %(body)s, '{}', %(hash)s)""",
            seq=seq,
            at=at,
            body=body,
            hash=digest,
        )
        last = {"seq": seq, "hash": digest, "at": last["at"]}
    head(log)


def drop_range(log: Log, chance: random.Random) -> None:
    """A time and all entries of it, as the dropping of a partition takes them away."""
    times = [row["at"] for row in log.rows("select distinct at from audit where tenant_id = %(tenant)s order by at")]
    first, last = sorted(chance.sample(range(len(times)), 2))
    values = {"first": times[first], "last": times[last]}
    assert log.run("delete from audit where tenant_id = %(tenant)s and at >= %(first)s and at < %(last)s", **values)
    head(log)


def head(log: Log) -> None:
    """Has the head say what the chain's end is."""
    log.run(
        """update audit_head h
              set seq = coalesce((select max(seq) from audit a where a.tenant_id = h.tenant_id), 0),
                  hash = coalesce((select hash from audit a where a.tenant_id = h.tenant_id order by seq desc limit 1),
                                  decode(repeat('00', 32), 'hex'))
            where tenant_id = %(tenant)s"""
    )


def rewrite(log: Log, seq: int) -> None:
    """Another actor in one entry, and every hash from there on made anew."""
    rows = log.rows(
        "select seq, actor, body, hash from audit where tenant_id = %(tenant)s and seq >= %(seq)s - 1 order by seq",
        seq=seq,
    )
    previous = rows.pop(0)["hash"] if seq > 1 else bytes(32)
    rows[0]["body"] = rows[0]["body"].replace(f'"actor":"{rows[0]["actor"]}"', '"actor":"eve"')
    log.run("update audit set actor = 'eve' where tenant_id = %(tenant)s and seq = %(seq)s", seq=seq)
    log.run("update decision set decided_by = 'eve' where tenant_id = %(tenant)s and audit_seq = %(seq)s", seq=seq)
    hashes = []
    for row in rows:
        previous = chained(previous, row["body"])
        hashes.append(previous)
    log.run(
        """update audit a set hash = r.hash, body = r.body
             from unnest(%(seqs)s::bigint[], %(bodies)s::text[], %(hashes)s::bytea[]) as r (seq, body, hash)
            where a.tenant_id = %(tenant)s and a.seq = r.seq""",
        seqs=[row["seq"] for row in rows],
        bodies=[row["body"] for row in rows],
        hashes=hashes,
    )
    head(log)


def rewrite_all_of_it(log: Log, chance: random.Random) -> None:
    """So that the chain is sound, and the database's own checkpoints are gone."""
    rewrite(log, chance.randint(1, log.length))
    log.run("delete from audit_checkpoint where tenant_id = %(tenant)s")


TAMPERINGS: dict[str, Tampering] = {
    **{f"audit.{name}": column("audit", name, AUDIT) for name in AUDIT_COLUMNS},
    **{f"decision.{name}": column("decision", name, DECISION) for name in DECISION_COLUMNS},
    **{f"commit.{name}": column("commit", name, RESULT) for name in COMMIT_COLUMNS},
    "decision.verdict": other_verdict,
    "decision.final": other_final,
    "no payload": no_payload,
    "swap payload": other_payload,
    "swap result": other_outcome,
    "swap a person's version": other_revision,
    "swap result, decision and commit": other_outcome_everywhere,
    "change shared state": other_state,
    "delete entry": delete("audit", AUDIT),
    "delete decision": delete("decision", DECISION),
    "delete commit": delete("commit", RESULT),
    "delete result": delete("result", RESULT),
    "delete a person's version": no_revision,
    "insert entry": insert,
    "insert decision": insert_decision,
    "insert commit": insert_commit,
    "reorder": reorder,
    "backdate": backdate,
    "move to another tenant": move,
    "cut the tail": cut,
    "restore an older copy": older_copy,
    "drop a range of time": drop_range,
    "rewrite the chain": rewrite_all_of_it,
}

# Tampering that leaves a database in which everything agrees with everything.
CONSISTENT = ("cut the tail", "restore an older copy", "rewrite the chain")


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_wherever_it_is(log: Log, name: str, some: Some) -> None:
    missed = []
    for position in some(range(POSITIONS), keep=KEPT):
        with log.connection.transaction(force_rollback=True):
            TAMPERINGS[name](log, random.Random(f"{name} {position}"))
            report = log.verify()
            if report.first_bad is None or (name in CONSISTENT and report.first_bad.table != "checkpoint"):
                missed.append(position)
    assert missed == []


@pytest.mark.parametrize("name", CONSISTENT)
def test_only_checkpoints_find_what_is_consistent_in_itself(log: Log, name: str) -> None:
    """Which says that the tests above have found the thing itself, and no blunder of whoever did it."""
    with log.connection.transaction(force_rollback=True):
        TAMPERINGS[name](log, random.Random(name))
        assert AuditProof(OpenLog(log.connection), None).verify(log.tenant_id, [], datetime.now(UTC)).faults == ()


def forged(log: Log, whole: bool) -> Iterator[Checkpoint]:
    """Checkpoints of the chain as it is now, signed with the retired key, dated before its end."""
    last: Checkpoint | None = None
    [first_key, second_key] = log.keys
    assert first_key.retired_at is not None
    for number, genuine in enumerate(log.checkpoints, start=1):
        if genuine.key_id == second_key.key_id and not whole:
            return
        [row] = log.rows("select hash from audit where tenant_id = %(tenant)s and seq = %(seq)s", seq=genuine.seq)
        draft = UnsignedCheckpoint(
            origin=genuine.origin,
            tenant_id=log.tenant_id,
            number=number,
            seq=genuine.seq,
            hash=row["hash"].hex(),
            previous=last.digest if last else NO_CHECKPOINT,
        )
        last = sign(draft, log.retired, min(genuine.at, first_key.retired_at - timedelta(microseconds=1)))
        yield last


@pytest.mark.parametrize("kind", ["all", "the old ones", "the database's"])
def test_a_retired_key_vouches_for_nothing_new(log: Log, kind: str, some: Some) -> None:
    missed = []
    for position in some(range(POSITIONS), keep=KEPT):
        with log.connection.transaction(force_rollback=True):
            rewrite(log, random.Random(position).randint(1, log.length))
            false = tuple(forged(log, whole=kind == "all"))
            if kind == "the old ones":  # and the genuine ones of the present key after them
                false += log.checkpoints[len(false) :]
            outside = KeptCheckpoints(
                place="outside", checkpoints=log.checkpoints if kind == "the database's" else false
            )
            log.run("delete from audit_checkpoint where tenant_id = %(tenant)s")
            for checkpoint in false:
                log.run(
                    """insert into audit_checkpoint (tenant_id, number, seq, entry_at, key_id, body)
                       values (%(tenant)s, %(number)s, %(seq)s, now(), %(key)s, %(body)s)""",
                    number=checkpoint.number,
                    seq=checkpoint.seq,
                    key=checkpoint.key_id,
                    body=checkpoint.text,
                )
            if log.verify(outside).ok:
                missed.append(position)
    assert missed == []


def test_the_first_bad_row_is_named(undone: Log) -> None:
    for seq in (150, 70):
        undone.run("update audit set actor = 'eve' where tenant_id = %(tenant)s and seq = %(seq)s", seq=seq)
    report = undone.verify()
    assert report.first_bad is not None
    assert (report.first_bad.table, report.first_bad.seq) == ("audit", 70)
    assert "actor" in report.first_bad.what
