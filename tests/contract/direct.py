"""Direct SQL, with each role's own login, on a tenant that has at least one row in every table."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection
from psycopg.rows import TupleRow

from chimera.errors import PlanNotFound
from chimera.models.audit.audit import AuditEvent, chain
from chimera.models.audit.checkpoint import NO_CHECKPOINT, UnsignedCheckpoint, sign
from chimera.models.audit.export import AskedExport
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import Sum
from chimera.models.gate.deciding import WaveDecision
from chimera.models.gate.gate import Staged
from chimera.models.gate.policy import Policy
from chimera.ports.replan_store import Replanned
from tests.contract.scene import Scene, approve, deny, success

ROLES = ("owner", "app", "worker", "judge", "seal", "review")

Session = Callable[..., AbstractContextManager["Connection[TupleRow]"]]


@dataclass(frozen=True)
class History:
    """A tenant with at least one row in every table."""

    tenant_id: str
    plan_id: UUID
    queued: UUID
    running: UUID
    staged: UUID
    in_review: UUID
    approved: UUID
    denied: UUID
    staged_sha256: bytes


def live(scene: Scene) -> History:
    """The scene's tenant after a bit of everything happened to it."""
    planned = scene.plan(6, state_key="k", session_id="s")
    scene.send()
    queued, running, staged, in_review, approved, denied = planned.ids

    def by_two(staged: Staged) -> WaveDecision:
        return scene.hitl(staged, approvals_needed=2)

    for task_id, says in ((in_review, by_two), (approved, approve), (denied, deny)):
        scene.stage(scene.claim(planned.wave, [task_id]))
        scene.judge(planned.wave, says)
    [card] = scene.cards(planned.plan_id)
    scene.edit(card, "edited", by="ann")
    scene.stage(scene.claim(planned.wave, [staged]), success("staged"))
    ran = scene.claim(planned.wave, [running], lease_seconds=3600)
    scene.stage(replace(ran, token=scene.world.clock.new_id()))
    [waiting] = scene.world.decisions.open_wave(planned.wave).staged
    lost = scene.plan(1)
    scene.send()
    scene.claim(lost.wave, lost.ids)
    scene.lose(lost.wave)
    sent_back = scene.asked()
    _, token = scene.begin_replan(sent_back.wave)
    better = Replanned(skill="echo", input="{}", timeout_seconds=1.0)
    assert scene.world.replans.save(sent_back.wave, sent_back.ids[0], token, better)
    with suppress(PlanNotFound):
        scene.world.plans.get(scene.tenant_id, scene.world.clock.new_id())
    head = scene.entries()[-1]
    draft = UnsignedCheckpoint(
        origin="tests", tenant_id=scene.tenant_id, number=1, seq=head.seq, hash=head.hash.hex(), previous=NO_CHECKPOINT
    )
    scene.world.exports.ask(AskedExport(tenant_id=scene.tenant_id, export_id=scene.world.clock.new_id(), after_seq=0))
    assert scene.world.checkpoints.add(sign(draft, Ed25519PrivateKey.generate(), head.at))
    scene.world.policy_changes.apply(scene.tenant_id, Policy(name="of-tests"), "tests")
    scene.world.budget_changes.allow(scene.tenant_id, None, Sum(tokens=1), "tests")
    return History(
        scene.tenant_id,
        planned.plan_id,
        queued=queued,
        running=running,
        staged=staged,
        in_review=in_review,
        approved=approved,
        denied=denied,
        staged_sha256=waiting.sha256,
    )


def recorded(
    connection: "Connection[TupleRow]", history: History, task_id: UUID, kind: AuditKind = AuditKind.TASK_DECIDED
) -> int:
    """The sequence of a fresh audit entry about a task."""
    head = connection.execute("select seq, hash from audit_head for update").fetchone()
    assert head is not None
    event = AuditEvent(kind=kind, actor="eve", task_id=task_id, facts={})
    now = connection.execute("select now()").fetchone()
    assert now is not None
    [entry] = chain(history.tenant_id, head[0], head[1], now[0], [event])
    connection.execute(
        "insert into audit (tenant_id, seq, at, kind, actor, task_id, body, payload, hash) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [entry.tenant_id, entry.seq, entry.at, entry.kind, entry.actor, task_id, entry.body, entry.payload, entry.hash],
    )
    return entry.seq


def decide(
    connection: "Connection[TupleRow]",
    history: History,
    task_id: UUID,
    *,
    verdict: str = "approve",
    final: bool = True,
    sha256: bytes | None = None,
    seq: int | None = None,
    by: str = "policy",
) -> None:
    audit_seq = recorded(connection, history, task_id) if seq is None else seq
    sha256 = history.staged_sha256 if sha256 is None else sha256
    connection.execute(
        "insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, "
        "decided_by, decided_at, audit_seq) values (%s, %s, 1, %s, %s, %s, '[]', 'p', %s, now(), %s)",
        [history.tenant_id, task_id, verdict, sha256, final, by, audit_seq],
    )


def commit(
    connection: "Connection[TupleRow]", history: History, task_id: UUID, sha256: bytes, attempt: int = 1
) -> None:
    connection.execute(
        "insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at) values (%s, %s, %s, %s, now())",
        [history.tenant_id, task_id, attempt, sha256],
    )


def move(connection: "Connection[TupleRow]", task_id: UUID, state: str = "approved") -> None:
    connection.execute("update task set state = %s where task_id = %s", [state, task_id])


def stage(connection: "Connection[TupleRow]", history: History, outcome: str, hashed: str, attempt: int = 1) -> None:
    connection.execute(
        "insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, started_at, finished_at) "
        "values (%s, %s, %s, gen_random_uuid(), %s, sha256(convert_to(%s, 'UTF8')), now(), now())",
        [history.tenant_id, history.running, attempt, outcome, hashed],
    )
