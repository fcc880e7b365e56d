"""Who has the shared worker's login speaks for any tenant: what of the victim's is read, taken or forged with it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from chimera.adapters.postgres.database import Database
from chimera.errors import ChimeraError
from chimera.models.record import canonical_json
from chimera.models.work.result import Result, Usage
from tests.contract.direct import History, Session
from tests.contract.scene import Scene, success

# Statements on the tables. What one of them reads or changes is the harm: it is refused, or finds no row.
READS = {
    "who_holds_a_lease": "select lease_token from task where state = 'running'",
    "what_tasks_are_given": "select input from task",
    "why_one_was_sent_back": "select feedback from task where feedback is not null",
    "shared_state": "select value from state",
    "hashes_of_results": "select sha256 from result",
    "traces_and_deadlines": "select trace_id, deadline from plan",
    "results_that_came_late": "select task_id, lease_token from stale_result",
    "waves": "select plan_id, wave_no, state from wave",
    "budgets": "select budgeted from policy where tenant_id = '{tenant}'",
}
LEASE = "lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour', agent_id = gen_random_uuid()"
RESULT = (
    "insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, tokens, cost_usd, started_at, "
    "finished_at) "
    "values ('{tenant}', '{running}', 1, gen_random_uuid(), '{{}}', sha256('{{}}'), {tokens}, {cost}, {at}, {at})"
)


def result(tokens: str = "0", cost: str = "0", at: str = "now()") -> str:
    return RESULT.replace("{tokens}", tokens).replace("{cost}", cost).replace("{at}", at)


CHANGES = {
    "steal_a_lease": f"update task set {LEASE} where state = 'running'",
    "keep_a_lease_for_ever": "update task set lease_until = 'infinity' where state = 'running'",
    "end_a_lease": "update task set lease_until = '-infinity' where state = 'running'",
    "name_another_agent": "update task set agent_id = gen_random_uuid() where state = 'running'",
    "take_what_waits_and_run_nothing": f"update task set state = 'running', {LEASE} where state = 'queued'",
    "use_up_attempts": "update task set attempt = max_attempts where state = 'queued'",
    "give_back_what_others_run": "update task set state = 'queued', attempt = 0 where state = 'running'",
    "stage_without_a_result": "update task set state = 'staged' where state = 'running'",
    "have_read_another_state": "update task set state_version = 999 where state = 'running'",
    "change_when_it_began": "update task set started_at = '2001-01-01', claimed_at = '2001-01-01' where true",
    "stage_for_another": result(),
    "stage_what_costs_nan": result(cost="'NaN'"),
    "stage_what_costs_infinity": result(cost="'Infinity'"),
    "stage_a_price_of_5000_digits": result(cost="('1' || repeat('0', 5000))::numeric"),
    "stage_more_tokens_than_there_are": result(tokens="9000000000000000000"),
    "stage_at_infinity": result(at="'infinity'"),
    "say_that_a_result_came_late": (
        "insert into stale_result (tenant_id, plan_id, task_id, attempt, agent_id, lease_token, result_sha256) "
        "values ('{tenant}', '{plan}', '{queued}', 1, gen_random_uuid(), gen_random_uuid(), sha256('x'))"
    ),
    "have_a_wave_wait_for_a_skill": "update wave set skill_waits_since = now() - interval '1 day'",
    "have_a_wave_wait_for_none": "update wave set skill_waits_since = null",
}


@pytest.mark.parametrize("attack", [*READS, *CHANGES])
def test_the_tables_are_closed_to_it(session: Session, history: History, attack: str) -> None:
    statement = (READS | CHANGES)[attack].format(
        tenant=history.tenant_id, plan=history.plan_id, running=history.running, queued=history.queued
    )
    harmed = 0
    with session("worker", history.tenant_id) as connection:
        try:
            harmed = connection.execute(statement.encode()).rowcount
        except psycopg.Error:
            connection.rollback()
    assert harmed == 0


def test_it_forges_no_result_for_a_paused_plan(session: Session, real_scene: Scene) -> None:
    planned = real_scene.plan(1)
    real_scene.send()
    real_scene.pause(planned.plan_id)
    outcome = canonical_json(success("forged", confidence=1.0).model_dump(mode="json"))
    staged = 0
    with session("worker", real_scene.tenant_id) as connection:
        try:
            connection.execute(f"update task set state = 'running', attempt = 1, {LEASE}".encode())
            connection.execute(
                "insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, started_at, finished_at) "
                "values (%s, %s, 1, gen_random_uuid(), %s, sha256(convert_to(%s, 'UTF8')), now(), now())",
                [real_scene.tenant_id, planned.ids[0], outcome, outcome],
            )
            staged = connection.execute("update task set state = 'staged' where state = 'running'").rowcount
        except psycopg.Error:
            connection.rollback()
    assert staged == 0


# What the way that is left lets through: claiming and staging, as a worker does.


def staged(scene: Scene, **fields: object) -> int:
    """Stages a result with these fields for a task that this login has claimed; 0 where it is refused."""
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids)
    text = canonical_json(success().model_dump(mode="json"))
    agent_id = fields.pop("agent_id", scene.agent_id)
    honest = scene.result(planned.ids[0], 1, text)
    forged = Result.model_construct(**{**dict(honest), **fields})
    try:
        return scene.world.work.stage(planned.wave, agent_id, claim.token, [forged])  # type: ignore[arg-type]
    except ChimeraError:
        return 0


def test_the_honest_way_is_open(real_scene: Scene) -> None:
    assert staged(real_scene) == 1


NOW = datetime.now(UTC)
FORGED: dict[str, Callable[[], dict[str, object]]] = {
    "another_agent_s_name": lambda: {"agent_id": uuid4()},
    "a_time_to_come": lambda: {"finished_at": NOW + timedelta(days=400)},
    "a_time_long_ago": lambda: {"started_at": NOW - timedelta(days=4000)},
    "an_end_before_its_beginning": lambda: {"started_at": NOW, "finished_at": NOW - timedelta(hours=1)},
    "a_price_that_is_no_number": lambda: {"usage": Usage.model_construct(tokens=0, cost_usd=Decimal("NaN"))},
    "a_price_without_end": lambda: {"usage": Usage.model_construct(tokens=0, cost_usd=Decimal("Infinity"))},
    "a_price_of_a_billion": lambda: {"usage": Usage.model_construct(tokens=0, cost_usd=Decimal(10**9))},
    "a_price_of_5000_places": lambda: {"usage": Usage.model_construct(tokens=0, cost_usd=Decimal("1e-5000"))},
    "tokens_beyond_counting": lambda: {"usage": Usage.model_construct(tokens=2**62, cost_usd=Decimal(0))},
}


@pytest.mark.parametrize("attack", FORGED)
def test_it_stages_nothing_forged_for_what_it_claimed(real_scene: Scene, attack: str) -> None:
    assert staged(real_scene, **FORGED[attack]()) == 0


def test_a_lease_lasts_no_longer_than_an_hour(real_scene: Scene, owner_database: Database) -> None:
    planned = real_scene.plan(1)
    real_scene.send()
    real_scene.claim(planned.wave, planned.ids, lease_seconds=1e9)
    with owner_database.transaction(real_scene.tenant_id) as connection:
        [row] = connection.execute("select lease_until - clock_timestamp() as left from task").fetchall()
    assert row["left"] <= timedelta(hours=1)


def test_it_notes_no_late_result_of_an_attempt_that_it_never_had(real_scene: Scene) -> None:
    planned = real_scene.plan(1)
    real_scene.send()
    forged = real_scene.result(planned.ids[0], 1, canonical_json(success().model_dump(mode="json")))
    real_scene.world.work.stage(planned.wave, uuid4(), uuid4(), [forged])
    [task] = [real_scene.world.tasks.history(real_scene.tenant_id, task_id) for task_id in planned.ids]
    assert not task.late_results
