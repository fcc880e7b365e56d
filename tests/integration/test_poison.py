"""Tasks that end the process that runs them, or do not end, among others that are well."""

import pytest

from chimera import Chimera, TaskState
from chimera.models.ids import IdKind, format_id
from tests.exhaustive import Some

# Of each kind one between two that are well; batches hold up to ten.
HOWS = ["segfault", "memory", "endless"]


@pytest.mark.timeout(240)
def test_poison_tasks_end_exhausted_and_their_neighbours_finish(chimera: Chimera, tenant: str, some: Some) -> None:
    poisons = ["exit", *some(HOWS, keep=1)]
    hows = [how for poison in poisons for how in ("well", poison, "well", "well")]
    handle = chimera.submit("test.poisoned", tenant=tenant, inputs={"hows": hows})
    plan = handle.wait(timeout=220)

    results = {result.task_id: (hows[result.ordinal], result.state) for result in handle.results()}
    ended = {(how, TaskState.APPROVED if how == "well" else TaskState.EXHAUSTED) for how in hows}
    assert set(results.values()) == ended
    assert (plan.counts.committed, plan.counts.failed) == (3 * len(poisons), len(poisons))
    for event in handle.events():
        if event.task_id is not None and results[event.task_id][1] is TaskState.EXHAUSTED and event.facts["final"]:
            assert event.facts["reasons"], "each says why"
    killer = list(handle.tasks())[hows.index("exit")]
    history = chimera.task(tenant, format_id(IdKind.TASK, killer.task_id))
    assert (history.lost, len(history.attempts)) == (history.max_attempts, history.max_attempts)
    for attempt in history.attempts:
        assert None not in {attempt.agent_id, attempt.taken_at, attempt.lost_at}, "each names who lost it, and when"
