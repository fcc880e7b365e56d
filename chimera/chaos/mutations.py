"""Guards that a run can do without, to show that its check would miss them: none of this is in the product.

Each is taken away in the processes under test (chimera.chaos.mutated) and, where the database would still hold
without it, in the database of the run.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, LiteralString

from chimera.adapters.celery.queue import Queue
from chimera.errors import ChimeraError
from chimera.services.sweep import Sweep


class Guard(StrEnum):
    """What is taken away."""

    FENCE = "fence"  # the lease that a claim takes and that staging must name
    DECISION = "decision"  # one final decision and one commit a task
    SWEEP = "sweep"  # whatever a lost message left undone is done
    EPOCH = "epoch"  # a Redis that has forgotten is noticed at once


class MutationFailed(ChimeraError):
    """What was to be taken away is not where it was."""


def take_away(guard: Guard) -> None:
    """Does without a guard in this process.

    Raises:
        MutationFailed: the guard does not look as it did when this was written.
    """
    _IN_PROCESS[guard]()


def _sweep() -> None:
    Sweep.run = lambda self: 0  # type: ignore[method-assign]  # noqa: ARG005


def _epoch() -> None:
    for name, answer in (("epoch", "always the same"), ("backlog", 1_000_000)):
        if hasattr(Queue, name):
            setattr(Queue, name, _constant(answer))


def _constant(answer: object) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _rewritten(function: LiteralString, old: LiteralString, new: LiteralString) -> LiteralString:
    """The statement that makes a function of the schema anew with `new` in the place of `old`, which must be there."""
    old, new = old.replace("'", "''"), new.replace("'", "''")
    return f"""
        do $do$
        declare
            body constant text := pg_get_functiondef('{function}'::regproc);
        begin
            if position('{old}' in body) = 0 then
                raise exception 'the mutation of {function} is to be written anew';
            end if;
            execute replace(body, '{old}', '{new}');
        end
        $do$
        """


_IN_PROCESS: dict[Guard, Callable[[], None]] = {
    Guard.FENCE: lambda: None,
    Guard.DECISION: lambda: None,
    Guard.SWEEP: _sweep,
    Guard.EPOCH: _epoch,
}

# By a superuser, once the schema is there.
IN_DATABASE: dict[Guard, tuple[LiteralString, ...]] = {
    Guard.FENCE: (
        "drop trigger result_needs_task on result",
        "drop trigger task_transition on task",
        _rewritten("claim_tasks", "and t.state = 'queued'", "and t.state in ('queued', 'running')"),
        _rewritten("renew_leases", "and t.lease_token = token and t.state = 'running'", "and t.state = 'running'"),
        _rewritten("stage_results", "and t.lease_token = token and t.agent_id = by_agent and t.state = 'running'", ""),
        # Whatever attempt it was: it is taken for the present one.
        _rewritten("stage_results", "and (t.task_id, t.attempt) in (select g.task_id, g.attempt from given g)", ""),
        _rewritten(
            "stage_results",
            "select tenant, r.task_id, r.attempt, by_agent",
            "select tenant, r.task_id, m.attempt, by_agent",
        ),
        _rewritten(
            "stage_results",
            "join mine m on m.task_id = r.task_id and m.attempt = r.attempt",
            "join mine m on m.task_id = r.task_id on conflict do nothing",
        ),
    ),
    Guard.DECISION: (
        "drop trigger task_transition on task",
        "drop index decision_final",
        "drop index review_card_of_task",
        "alter table decision drop constraint decision_pkey",
        "alter table commit drop constraint commit_pkey cascade",
        "drop trigger commit_needs_approval on commit",
        _rewritten(
            "move_tasks",
            """and t.attempt = of_attempt and t.state = was
       and (t.state in ('staged', 'in_review') or (t.state = 'running' and t.lease_until < clock_timestamp())
            or (t.state = 'queued' and (t.over_budget is not null or t.replan in ('given_up', 'failed'))))""",
            "",
        ),
        _rewritten("decide", "and t.attempt = r.attempt;", ";"),
        _rewritten("decide", "if right_ones <> cardinality(ids) then", "if false then"),
        """
        do $$
        declare
            name text;
        begin
            for name in select conname from pg_constraint where conrelid = 'wave'::regclass and contype = 'c' loop
                execute format('alter table wave drop constraint %I', name);
            end loop;
        end
        $$
        """,
    ),
    Guard.SWEEP: (),
    Guard.EPOCH: (),
}
