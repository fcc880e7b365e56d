"""What `chimera doctor` says of who has which skills, by what the workers answer."""

from collections.abc import Callable, Iterator

import pytest

from chimera.cli.doctor import isolation as isolation_module
from chimera.cli.doctor import user_code as user_code_module
from chimera.cli.doctor.finding import Finding
from chimera.cli.doctor.isolation import isolation
from chimera.cli.doctor.skills import skills
from chimera.cli.doctor.user_code import user_code
from chimera.cli.doctor.workers import Asked, workers
from chimera.errors import QueueUnavailable
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.presence import WorkerNote
from tests.unit.declared import as_planner, as_skill
from tests.unit.present import note


def worker(*queues: str, skills: str = "", planners: str = "") -> WorkerNote:
    return note(*queues, skills=frozenset(skills.split()), planners=frozenset(planners.split()))


class Answers(Asked):
    def __init__(self, **workers: WorkerNote) -> None:
        self._answers = workers

    @property
    def workers(self) -> dict[str, WorkerNote]:
        if not self._answers:
            raise QueueUnavailable
        return self._answers


Check = Callable[[str, Asked], Iterator[Finding]]


def found(check: Check, asked: Asked) -> list[tuple[str, str]]:
    return [(finding.status, finding.detail) for finding in check("c", asked)]


def test_workers_that_have_the_same_are_well() -> None:
    asked = Answers(a=worker("plan", skills="x y", planners="p"), b=worker("tenant.acme", skills="y x"))
    assert found(skills, asked) == [("ok", "all workers that answer have the same: x, y")]


def test_a_worker_that_lacks_what_others_have_is_named() -> None:
    asked = Answers(
        new=worker("plan", "judge", skills="x y z", planners="p q"),
        newer=worker("plan", skills="x z", planners="p q"),
        old=worker("plan", skills="x", planners="p"),
    )
    assert found(skills, asked) == [
        ("WARN", "newer lacks the skill y, which new has"),
        ("WARN", "old lacks the skills y, z, which new, newer have"),
        ("WARN", "old lacks the planner q, which new, newer have"),
    ]


def test_a_worker_that_does_not_plan_needs_no_planner() -> None:
    asked = Answers(a=worker("plan", skills="x", planners="p"), b=worker("tenant.acme", skills="x"))
    assert [status for status, _ in found(skills, asked)] == ["ok"]


def test_a_judge_has_no_skills_and_lacks_none() -> None:
    asked = Answers(a=worker("plan", skills="x", planners="p"), b=worker("judge"))
    assert found(skills, asked) == [("ok", "all workers that answer have the same: x")]
    assert found(workers, asked) == [("ok", "a consumes plan"), ("ok", "b consumes judge")]


def test_a_worker_that_runs_skills_where_it_decides_is_named() -> None:
    asked = Answers(a=worker("plan", "judge", "tenant.acme", skills="x", planners="p"))
    assert found(workers, asked) == [
        (
            "WARN",
            "a consumes judge, plan, tenant.acme: skills run in the process that decides about their results, "
            "with all that it may do",
        )
    ]


def test_the_level_of_each_worker_that_runs_skills_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation_module, "_own_workers", lambda: {"acme": {"own@acme"}, "globex": set()})
    asked = Answers(
        a=worker("plan").model_copy(update={"isolation": "trusted", "logins": frozenset({"app", "worker"})}),
        b=worker("plan").model_copy(update={"isolation": "host", "logins": frozenset({"worker"})}),
        j=worker("judge").model_copy(update={"isolation": "trusted", "logins": frozenset({"judge"})}),
    )
    assert [(status, said.partition(":")[0]) for status, said in found(isolation, asked)] == [
        ("ok", "a runs skills at level trusted"),
        ("ok", "b runs skills at level host"),
        ("ok", "own@acme runs skills at level pool, for acme"),
    ]


def test_a_worker_that_knows_the_logins_of_others_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation_module, "_own_workers", dict)
    asked = Answers(
        a=worker("plan").model_copy(update={"logins": frozenset({"app", "worker", "judge", "owner"})}),
        both=worker("plan", "judge").model_copy(update={"logins": frozenset({"app", "worker", "judge"})}),
        j=worker("judge").model_copy(update={"logins": frozenset({"judge", "worker"})}),
    )
    assert [finding for finding in found(isolation, asked) if finding[0] != "ok"] == [
        ("WARN", "a knows the logins judge, owner, and has no use for them"),
        ("WARN", "j knows the login worker, and has no use for it"),
    ]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    catalogue = Catalogue()
    monkeypatch.setattr(
        user_code_module,
        "imported",
        lambda: {"planner": frozenset(catalogue.planners), "skill": frozenset(catalogue.skills)},
    )
    return catalogue


def declare(catalogue: Catalogue) -> None:
    def x() -> str:
        return ""

    def p() -> list[object]:
        return []

    catalogue.add_skill(as_skill(x))
    catalogue.add_planner(as_planner(p))  # type: ignore[arg-type]


def test_code_that_the_workers_have_is_well(here: Catalogue) -> None:
    declare(here)
    asked = Answers(a=worker("plan", skills="x y", planners="p"), b=worker("tenant.b", skills="x y"))
    assert found(user_code, asked) == [("ok", "the workers have what is imported here: planners: p; skills: x")]


def test_code_of_this_folder_that_no_worker_has_is_named(here: Catalogue) -> None:
    declare(here)
    asked = Answers(a=worker("plan", skills="tickets", planners="triage"))
    assert found(user_code, asked) == [
        ("WARN", "no worker that answers has what is imported here: planners: p; skills: x")
    ]


def test_in_a_folder_without_code_it_is_what_the_workers_have_that_counts(here: Catalogue) -> None:
    asked = Answers(a=worker("plan", skills="x", planners="p"))
    assert found(user_code, asked) == [("ok", "none here; the workers have planners: p; skills: x")]
    assert found(user_code, Answers(a=worker("plan"))) == [("WARN", "no planner is registered")]


def test_without_the_broker_only_this_folder_s_code_is_told(here: Catalogue) -> None:
    declare(here)
    assert found(user_code, Answers()) == [("ok", "imported here: planners: p; skills: x")]
