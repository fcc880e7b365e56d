"""The schemas that outputs are checked against: read once, compiled once, and not trusted."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import pytest

from chimera.models.gate.gate import Staged
from chimera.models.record import canonical_json, sha256
from chimera.models.work.json_schema import UNCHECKED
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.services.output_schemas import OutputSchemas
from tests.attacks.skill_code.test_declaring import HOSTILE
from tests.fakes import FakeClock, FakeDatabase, FakeSkillStore


class Store(FakeSkillStore):
    """Has what it is given, and notes what it is asked for."""

    def __init__(self, **schemas: str | None) -> None:
        super().__init__(FakeDatabase(FakeClock()))
        self.asked: list[set[bytes]] = []
        self._schemas = {sha256(name): text for name, text in schemas.items()}

    def output_schemas(self, fingerprints: Collection[bytes]) -> dict[bytes, str | None]:
        self.asked.append({*fingerprints})
        return {each: text for each, text in self._schemas.items() if each in fingerprints}


def staged(version: str | None, output: Any = "fine", *, failed: bool = False) -> Staged:
    failure = FailureOutcome(code="no", message="no", retryable=False)
    return Staged(
        task_id=UUID(int=1),
        skill="s",
        input={},
        attempt=1,
        max_attempts=3,
        outcome=failure if failed else SuccessOutcome(output=output),
        size=10,
        sha256=bytes(32),
        fingerprint=None if version is None else sha256(version),
    )


def test_each_version_is_read_once() -> None:
    store = Store(old='{"type":"string"}', new='{"type":"integer"}')
    schemas = OutputSchemas(store)
    for _ in range(3):
        schemas.learn([staged("old"), staged("old"), staged("new"), staged("gone", failed=True), staged(None)])
    assert store.asked == [{sha256("old"), sha256("new")}]
    assert [schemas.fault(staged(version, 1)) for version in ("old", "new")] == ["type", None]


@pytest.mark.parametrize("version", [None, "gone"])
def test_what_nothing_is_stored_for_goes_to_a_person(version: str | None) -> None:
    schemas = OutputSchemas(Store())
    schemas.learn([staged(version)])
    assert schemas.fault(staged(version)) == UNCHECKED
    assert schemas.fault(staged(version, failed=True)) is None


@pytest.mark.parametrize("text", [None, "", "[]", "nonsense", "1", "{" * 5000])
def test_so_does_what_cannot_be_used(text: str | None) -> None:
    schemas = OutputSchemas(Store(odd=text))
    schemas.learn([staged("odd")])
    assert schemas.fault(staged("odd")) == UNCHECKED


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_one_that_somebody_wrote_into_the_table_is_not_used(attack: str) -> None:
    schemas = OutputSchemas(Store(evil=canonical_json(HOSTILE[attack])))
    schemas.learn([staged("evil")])
    assert schemas.fault(staged("evil")) == UNCHECKED


def test_many_versions_do_not_fill_the_memory() -> None:
    texts = {f"v{number}": '{"allOf":[' + ",".join(['{"pattern":"a"}'] * 60) + "]}" for number in range(12)}
    store = Store(**texts)
    schemas = OutputSchemas(store)
    for version in [*texts, "v11"]:
        schemas.learn([staged(version)])
        assert schemas.fault(staged(version, "a")) is None
    assert len(schemas._known) <= 6
    schemas.learn([staged("v0")])
    assert len(store.asked) == 13, "the first one was forgotten, the last one was not"
