"""The audit's chain: it verifies, and nothing in it can be changed unseen."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.audit.audit import GENESIS, AuditEntry, AuditEvent, Erasures, chain, chained
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import sha256
from chimera.models.work.plan import ENDED, PlanState
from tests.unit.strategies import JSON, TEXTS

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = st.lists(
    st.builds(
        AuditEvent,
        kind=st.sampled_from(AuditKind),
        actor=TEXTS,
        plan_id=st.none() | st.uuids(),
        task_id=st.none() | st.uuids(),
        facts=st.dictionaries(TEXTS, JSON, max_size=2),
    ),
    max_size=4,
)


def verifies(entries: list[AuditEntry]) -> bool:
    previous = GENESIS
    for entry in entries:
        if chained(previous, entry.body) != entry.hash:
            return False
        previous = entry.hash
    return True


def test_an_entry_s_body_says_everything_about_it() -> None:
    event = AuditEvent(
        kind=AuditKind.TASK_DECIDED, actor="policy", plan_id=UUID(int=1), task_id=UUID(int=2), facts={"a": 1}
    )
    [entry] = chain("acme", 41, bytes(32), AT, [event])
    assert json.loads(entry.body) == {
        "tenant_id": "acme",
        "seq": 42,
        "at": "2026-03-01T12:00:00+00:00",
        "kind": "task.decided",
        "actor": "policy",
        "plan_id": UUID(int=1).hex,
        "task_id": UUID(int=2).hex,
        "payload_sha256": sha256('{"a":1}').hex(),
    }
    assert (entry.payload, entry.facts) == ('{"a":1}', {"a": 1})
    assert (entry.tenant_id, entry.seq, entry.at, entry.kind) == ("acme", 42, AT, "task.decided")


def test_a_chain_begins_with_32_zero_bytes() -> None:
    assert bytes(32) == GENESIS


@given(EVENTS, EVENTS)
def test_a_chain_verifies_also_where_it_was_made_in_parts(first: list[AuditEvent], second: list[AuditEvent]) -> None:
    entries = chain("acme", 0, GENESIS, AT, first)
    head = entries[-1].hash if entries else GENESIS
    entries += chain("acme", len(entries), head, AT, second)
    assert verifies(entries)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert entries == chain("acme", 0, GENESIS, AT, [*first, *second])


@given(EVENTS.filter(bool), st.data())
def test_any_change_of_a_body_breaks_the_chain(events: list[AuditEvent], data: st.DataObject) -> None:
    entries = chain("acme", 0, GENESIS, AT, events)
    place = data.draw(st.integers(0, len(entries) - 1))
    body = entries[place].body
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(TEXTS.filter(lambda text: text != body[at]))
    changed = entries[place].model_copy(update={"body": body[:at] + other + body[at + 1 :]})
    assert not verifies([*entries[:place], changed, *entries[place + 1 :]])


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2], [0, 1, 1, 2], [1, 2]], ids=["swap", "drop", "double", "cut"])
def test_entries_out_of_their_place_break_the_chain(order: list[int]) -> None:
    events = [AuditEvent(kind=AuditKind.PLAN_SUBMITTED, actor="app", facts={"n": number}) for number in range(3)]
    entries = chain("acme", 0, GENESIS, AT, events)
    assert verifies(entries)
    assert not verifies([entries[number] for number in order])


def test_an_entry_fits_one_tenant_and_one_place_only() -> None:
    event = AuditEvent(kind=AuditKind.PLAN_SUBMITTED, actor="app", facts={})
    hashes = {chain(tenant, seq, GENESIS, AT, [event])[0].hash for tenant in ("acme", "globex") for seq in (0, 1)}
    assert len(hashes) == 4


def test_an_entry_of_the_first_releases_has_its_facts_in_its_body() -> None:
    event = AuditEvent(kind=AuditKind.PLAN_SUBMITTED, actor="app", facts={})
    [entry] = chain("acme", 0, GENESIS, AT, [event])
    old = entry.model_copy(update={"body": '{"facts":{"a":1}}', "payload": None})
    assert old.facts == {"a": 1}


def test_erased_facts_are_none() -> None:
    [entry] = chain(
        "acme", 0, GENESIS, AT, [AuditEvent(kind=AuditKind.PLAN_SUBMITTED, actor="app", facts={"name": "Ann"})]
    )
    assert entry.model_copy(update={"payload": None}).facts is None


def test_what_was_erased_is_known_from_the_entries_that_say_so() -> None:
    erasures = Erasures()
    erasures.learn({"entries": [[3, 5]], "results": [[UUID(int=7).hex, 2]]})
    assert [seq for seq in range(1, 8) if erasures.names_entry(seq)] == [3, 4, 5]
    assert erasures.names_result(UUID(int=7), 2)
    assert not erasures.names_result(UUID(int=7), 1)


def test_the_documented_kinds_are_those_that_there_are() -> None:
    table = DOCUMENTED.partition("| what happened | entry |")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z]+\.[a-z_]+)`", table)
    assert {*named} == {*AuditKind}


@pytest.mark.parametrize("state", [PlanState.IN_REVIEW, *sorted(ENDED)])
def test_where_a_plan_gets_to_is_a_kind(state: PlanState) -> None:
    assert AuditKind.plan_is(state) == f"plan.{state}"


@pytest.mark.parametrize("end", [PlanState.CANCELLED, PlanState.EXPIRED])
def test_how_a_plan_is_to_end_is_a_kind(end: PlanState) -> None:
    assert AuditKind.plan_is_to_be(end) == f"plan.{end}_asked"
