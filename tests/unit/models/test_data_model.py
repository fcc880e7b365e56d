"""docs/data-model.md says what the models say."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from chimera.contracts import schemas
from chimera.models.gate.review import CardStatus
from chimera.models.work.agent import AgentStatus
from chimera.models.work.plan import ENDED, PlanState
from chimera.models.work.session import SessionState
from chimera.models.work.task import TRANSITIONS, TaskState

TEXT = (Path(__file__).parents[3] / "docs" / "data-model.md").read_text(encoding="utf-8")
CHAPTERS = {chapter.partition("\n")[0]: chapter for chapter in TEXT.split("\n## ")}


def arrows(chapter: str) -> set[tuple[str, str]]:
    found = re.findall(r"^    (\S+) --> ([^\s:]+)", CHAPTERS[chapter], flags=re.MULTILINE)
    return {(before, after) for before, after in found if "[*]" not in {before, after}}


def test_the_task_s_diagram_has_its_transitions_and_no_others() -> None:
    assert arrows("A task") == {(before, after) for before, then in TRANSITIONS.items() for after in then}


@pytest.mark.parametrize(
    ("chapter", "states"),
    [("A session", SessionState), ("A plan", PlanState), ("A task", TaskState), ("A review card", CardStatus)],
)
def test_a_diagram_has_every_state(chapter: str, states: type[StrEnum]) -> None:
    assert {state for arrow in arrows(chapter) for state in arrow} == set(states)


def test_what_has_ended_goes_nowhere() -> None:
    assert {before for before, _ in arrows("A plan")} == set(PlanState) - ENDED
    assert {before for before, _ in arrows("A session")} == {SessionState.OPEN, SessionState.PAUSED}
    assert {before for before, _ in arrows("A review card")} == {CardStatus.PENDING}


def test_every_status_of_an_agent_is_told() -> None:
    assert set(re.findall(r"`(\w+)`", CHAPTERS["An agent"])) == set(AgentStatus)


def test_every_contract_is_explained() -> None:
    told = re.findall(r"^\| ([\w, ]+) \|", CHAPTERS["Records, and where each is kept"], flags=re.MULTILINE)
    assert {name for names in told for name in names.split(", ")} == set(schemas())
