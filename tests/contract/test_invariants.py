"""Every invariant of the chaos runs holds of what the stores do, and is seen to fail where it does not hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from chimera.chaos.evidence import Evidence
from chimera.chaos.invariants import INVARIANTS, check
from chimera.models.audit.erasure import Erasure
from chimera.models.work.plan import PlanState
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene, approve, deny, failure, retry, success
from tests.contract.worlds import PostgresWorld, stores


@pytest.fixture
def world(postgres_world: PostgresWorld) -> PostgresWorld:
    """The real one only: what is checked is a database."""
    return postgres_world


def live(scene: Scene) -> Scene:
    """Has a bit of everything happen to its tenant."""
    for value in ("one", "two"):
        planned = scene.plan(1, state_key="key")
        scene.judge(scene.work_off(planned, success(value)), approve)
    scene.judge(scene.work_off(scene.plan(2), success()), approve)
    scene.judge(scene.work_off(scene.plan(1), failure()), deny)
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned, failure()), retry)
    scene.stage(scene.claim(planned.wave, planned.ids))
    scene.judge(planned.wave, approve)
    for yes in (True, False):
        [card] = scene.in_review()[1]
        scene.decide(card, approve=yes, note="so it is")
    planned = scene.plan(2, 1)
    scene.judge(scene.work_off(planned), approve)
    scene.stop(planned.plan_id, PlanState.CANCELLED)
    scene.stop_wave(planned.waves[1])
    return scene


@pytest.fixture(scope="module")
def lived(postgres_world: PostgresWorld) -> Scene:
    """A tenant that a bit of everything happened to; whatever is done to it is rolled back."""
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return live(Scene(postgres_world, tenant_id))


@pytest.fixture
def owner(servers: dict[str, str], lived: Scene) -> Iterator[psycopg.Connection]:
    """The owner, speaking for the tenant in a transaction that is rolled back, whatever is done to the schema."""
    with psycopg.connect(servers["CHIMERA_OWNER_DATABASE_URL"]) as connection:
        connection.execute("select set_config('chimera.tenant', %s, true)", [lived.tenant_id])
        yield connection
        connection.rollback()


# What is done to a sound database, and the invariants that this violates. One row is struck: the first there is.
_ANY_COMMIT = "(select task_id from commit order by task_id limit 1)"
_OPEN = "alter table task disable trigger task_transition"
_FREE = """
do $$ declare part regclass; begin
    for part in select relid from pg_partition_tree('audit') loop
        execute format('alter table %s disable trigger audit_append_only', part);
    end loop;
end $$
"""
_REWRITE = "alter table {0} disable trigger {0}_stays"
_DECISIONS, _COMMITS, _CARDS = map(_REWRITE.format, ("decision", "commit", "review_card"))
_STATE = "alter table state disable trigger state_goes_on"
_LOOSE_WAVE = """
do $$ declare name text; begin
    for name in select conname from pg_constraint where conrelid = 'wave'::regclass and contype = 'c' loop
        execute format('alter table wave drop constraint %I', name);
    end loop;
end $$
"""
VIOLATIONS = {
    "plan_not_ended": ("update plan set state = 'running', finished_at = null where state = 'completed'",),
    "plan_end_untrue": ("update plan set state = 'completed_with_failures' where state = 'completed'",),
    "task_without_decision": (
        _DECISIONS,
        "delete from decision where final and verdict = 'deny'",
    ),
    "task_left_open": (_OPEN, "update task set state = 'staged' where state = 'denied'"),
    "tasks_missing": ("delete from task where state = 'cancelled'",),
    "approved_and_not_committed": (
        _COMMITS,
        "delete from commit where state_key is null",
    ),
    "task_decided_twice": (
        "drop index decision_final",
        "alter table decision drop constraint decision_pkey",
        "insert into decision select * from decision where verdict = 'approve' limit 1",
    ),
    "task_committed_twice": (
        "alter table commit drop constraint commit_pkey cascade",
        "insert into commit select * from commit limit 1",
    ),
    "stored_result_made_again": (
        "alter table result disable trigger result_needs_task",
        "insert into result select tenant_id, task_id, 0, agent_id, outcome, sha256, 0, 0, started_at, finished_at"
        "  from result limit 1",
    ),
    "commit_without_approval": (
        _COMMITS,
        "update commit set result_sha256 = sha256('other') where task_id = " + _ANY_COMMIT,
    ),
    "refused_and_committed": (_OPEN, f"update task set state = 'denied' where task_id = {_ANY_COMMIT}"),
    "state_and_decision_differ": (f"update task set attempt = attempt + 1 where task_id = {_ANY_COMMIT}",),
    "result_of_another_agent": (f"update task set agent_id = gen_random_uuid() where task_id = {_ANY_COMMIT}",),
    "too_many_attempts": (
        "alter table task drop constraint task_check",
        f"update task set attempt = max_attempts + 1 where task_id = {_ANY_COMMIT}",
    ),
    "state_versions_with_gaps": (
        _COMMITS,
        "update commit set state_version = 7 where state_version = 1",
    ),
    "state_is_not_the_last_commit": (
        _STATE,
        "update state set value = '\"forged\"'",
    ),
    "decision_without_entry": (
        _DECISIONS,
        "delete from decision where final and verdict = 'deny'",
    ),
    "commit_after_stop": (
        _FREE,
        "alter table audit drop constraint audit_seq_check",
        "update audit set seq = seq - 1000 where kind = 'plan.cancelled_asked'",
    ),
    "lease_run_out": (
        _OPEN,
        "update task set state = 'running', lease_token = gen_random_uuid(), lease_until = now() - interval '1 second'"
        f" where task_id = {_ANY_COMMIT}",
    ),
    "wave_not_sent": (_LOOSE_WAVE, "update wave set state = 'in_flight', published_at = null"),
    "wave_counts_wrong": (_LOOSE_WAVE, "update wave set approved = approved + 1"),
    "card_and_task_differ": (
        _CARDS,
        "update review_card set status = 'denied' where status = 'approved'",
    ),
    "commit_without_quorum": (_CARDS, "update review_card set approvals_needed = 9 where status = 'approved'"),
    "left_reserved": (
        f"update task set reserved_for = 1, reserved_usd = 1, reserved_tokens = 0 where task_id = {_ANY_COMMIT}",
    ),
    "account_not_as_its_tasks": (
        "insert into budget (tenant_id, account, plan_id)"
        " select tenant_id, 'plan:' || replace(plan_id::text, '-', ''), plan_id from plan limit 1",
        "update budget set spent_usd = 1",
    ),
    "audit_chain_broken": (_FREE, "update audit set body = replace(body, 'ann', 'eve') where kind = 'review.decided'"),
}


def test_a_sound_database_violates_nothing(owner: psycopg.Connection, lived: Scene) -> None:
    assert check(owner, [lived.tenant_id]) == []


def test_what_was_erased_violates_nothing(owner: psycopg.Connection, scene: Scene) -> None:
    lived = live(scene)
    owner.execute("select set_config('chimera.tenant', %s, true)", [lived.tenant_id])
    plans = [row[0] for row in owner.execute("select plan_id from plan where finished_at is not null")]
    assert plans
    for plan_id in plans:
        erasure = Erasure(tenant_id=lived.tenant_id, plan_id=plan_id, task_id=None, actor="ann", reason="asked to")
        stores(lived.world).erasures.erase(erasure)
    assert check(owner, [lived.tenant_id]) == []


def test_every_invariant_has_its_violation() -> None:
    assert set(VIOLATIONS) == {invariant.name for invariant in INVARIANTS} | {"audit_chain_broken"}
    assert all(invariant.sentence.endswith(".") for invariant in INVARIANTS)


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_seen(owner: psycopg.Connection, lived: Scene, name: str) -> None:
    for statement in VIOLATIONS[name]:
        owner.execute(statement)
    found = check(owner, [lived.tenant_id])
    assert name in {violation.invariant for violation in found}
    assert all(violation.tenant_id == lived.tenant_id for violation in found)


@pytest.mark.parametrize("change", ["delete from audit where seq = 5", "update audit_head set seq = seq + 1"])
def test_a_gap_and_a_false_head_are_seen(owner: psycopg.Connection, lived: Scene, change: str) -> None:
    owner.execute(_FREE)
    owner.execute("alter table audit_head disable trigger audit_head_follows")
    owner.execute(change)
    assert "audit_chain_broken" in {violation.invariant for violation in check(owner, [lived.tenant_id])}


def test_another_tenants_rows_are_not_looked_at(owner: psycopg.Connection, lived: Scene, stranger: Scene) -> None:
    stranger.plan(1)
    assert check(owner, [lived.tenant_id]) == []
    assert {violation.invariant for violation in check(owner, [stranger.tenant_id])} == {
        "plan_not_ended",
    }


class TestEvidence:
    @pytest.fixture
    def nonces(self, owner: psycopg.Connection) -> list[str]:
        """Names for all tasks, as the runs' skills take them; those of approved ones."""
        owner.execute("alter table task disable trigger task_input_stays")
        owner.execute("update task set input = json_build_object('nonce', task_id)")
        return [str(row[0]) for row in owner.execute("select task_id from task where state = 'approved'")]

    def found(
        self, owner: psycopg.Connection, lived: Scene, folder: Path, runs: list[str], *told: dict[str, object]
    ) -> set[str]:
        (folder / "runs").write_text("".join(json.dumps({"what": "run", "nonce": nonce}) + "\n" for nonce in runs))
        (folder / "told").write_text("".join(json.dumps(line | {"tenant": lived.tenant_id}) + "\n" for line in told))
        evidence = Evidence(owner, folder / "told", folder / "runs")
        return {violation.invariant for violation in evidence.check([lived.tenant_id])}

    def test_what_ran_once_is_fine(
        self, owner: psycopg.Connection, lived: Scene, nonces: list[str], tmp_path: Path
    ) -> None:
        assert self.found(owner, lived, tmp_path, nonces) == set()

    def test_a_second_run_in_one_attempt_is_seen(
        self, owner: psycopg.Connection, lived: Scene, nonces: list[str], tmp_path: Path
    ) -> None:
        assert self.found(owner, lived, tmp_path, nonces * 3) == {"run_without_a_claim"}

    def test_a_commit_of_what_never_ran_is_seen(
        self, owner: psycopg.Connection, lived: Scene, nonces: list[str], tmp_path: Path
    ) -> None:
        assert self.found(owner, lived, tmp_path, nonces[1:]) == {"commit_of_nothing"}

    def test_what_was_acknowledged_must_be_so(
        self, owner: psycopg.Connection, lived: Scene, nonces: list[str], tmp_path: Path
    ) -> None:
        completed = owner.execute("select plan_id from plan where state = 'completed' limit 1").fetchone()
        denied = owner.execute("select task_id from task where state = 'denied' limit 1").fetchone()
        assert completed is not None
        assert denied is not None
        lines: dict[str, dict[str, object]] = {
            "plan_forgotten": {"what": "plan", "plan": uuid4().hex, "tasks": 1},
            "plan_cut_short": {"what": "plan", "plan": completed[0].hex, "tasks": 9},
            "cancelling_forgotten": {"what": "cancelled", "plan": completed[0].hex},
            "decision_forgotten": {"what": "reviewed", "task": denied[0].hex, "status": "approved"},
        }
        for name, line in lines.items():
            assert self.found(owner, lived, tmp_path, nonces, line) == {name}
