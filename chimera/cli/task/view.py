"""How a task and its history are shown: who did what with it, when and why, and nothing of its contents."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chimera.cli.context import command
from chimera.cli.output import age, duration, facts, moment, number, say, table, tell
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from uuid import UUID

    from chimera.models.work.decision import Reason
    from chimera.models.work.history import TaskAttempt, TaskEvent, TaskHistory, TaskStanding

# The log line that has a failing skill's traceback.
TRACEBACK_EVENT = "skill_failed"


def standing_json(task: "TaskStanding") -> dict[str, Any]:
    """The task's fields; ids as the command line takes them."""
    return task.model_dump(mode="json") | {
        "plan_id": format_id(IdKind.PLAN, task.plan_id),
        "task_id": _id(task.task_id),
        "parent_task_id": task.parent_task_id and _id(task.parent_task_id),
    }


def standing_row(task: "TaskStanding") -> list[str]:
    """The task in a row of a table."""
    end = task.finished_at or datetime.now(UTC)
    return [
        _id(task.task_id),
        format_id(IdKind.PLAN, task.plan_id),
        task.skill,
        task.state,
        f"{task.attempt}/{task.max_attempts}",
        age(task.created_at) if task.created_at else "-",
        duration((end - task.started_at).total_seconds()) if task.started_at else "-",
    ]


def history_json(task: "TaskHistory") -> dict[str, Any]:
    """The task with its history, and the same as one timeline; ids as the command line takes them."""
    values = task.model_dump(mode="json") | standing_json(task)
    values["agent_id"] = _agent(task.agent_id)
    values["redacted"] = values.pop("erased")
    for name in ("depends_on", "retried_as"):
        values[name] = [_id(each) for each in getattr(task, name)]
    for name in ("attempts", "late_results"):
        for shown, each in zip(values[name], getattr(task, name), strict=True):
            shown["agent_id"] = _agent(each.agent_id)
    for shown, card in zip(values["cards"], task.cards, strict=True):
        shown["card_id"] = format_id(IdKind.CARD, card.card_id)
    for shown, attempt in zip(values["attempts"], task.attempts, strict=True):
        shown["traceback"] = _traceback(task, attempt)
    values["timeline"] = [_event_json(event) for event in task.timeline()]
    return values


def show_history(task: "TaskHistory") -> None:
    """The task and its timeline, for people."""
    key = f"{task.state_key}, at version {task.state_version}" if task.state_version is not None else task.state_key
    facts(
        [
            ("task", _id(task.task_id)),
            ("tenant", task.tenant_id),
            ("plan", format_id(IdKind.PLAN, task.plan_id)),
            ("session", task.session_id or ""),
            ("skill", task.skill + (f", in place of {task.degraded_from}" if task.degraded_from else "")),
            ("state", f"{task.state}, attempt {task.attempt} of {task.max_attempts}"),
            ("agent", _agent(task.agent_id) or ""),
            ("lost", _lost(task.lost)),
            ("sent back", f"{task.replans} times by the gate" if task.replans else ""),
            ("budget", f"does not fit under {task.over_budget}" if task.over_budget else ""),
            ("needs", ", ".join(map(_id, task.depends_on))),
            ("state key", key or ""),
            ("retry of", _id(task.parent_task_id) if task.parent_task_id else ""),
            ("retried as", ", ".join(map(_id, task.retried_as))),
            ("contents", "redacted" if task.erased else ""),
            ("planned", moment(task.created_at)),
            ("first taken", moment(task.started_at)),
            ("finished", moment(task.finished_at)),
            ("trace", task.trace_id),
        ]
    )
    tell("")
    table(["TIME", "WHAT", "ATTEMPT", "BY", "DETAIL"], (row for event in task.timeline() for row in _rows(event)))
    for attempt in task.attempts:
        if where := _traceback(task, attempt):
            say(f"attempt {attempt.attempt}, why the skill failed: {where['text']}")


def _lost(attempts: int) -> str:
    if attempts == 1:
        return "1 attempt, with its agent"
    return f"{attempts} attempts, with their agents" if attempts else ""


def next_step(task: "TaskHistory") -> None:
    """What to type next."""
    tenant = ("--tenant", task.tenant_id)
    waiting = [card for card in task.cards if card.status == "pending"]
    if waiting:
        card = format_id(IdKind.CARD, waiting[-1].card_id)
        say(f"next: {command('review', 'show', card, *tenant)}")
    elif task.state in {"denied", "exhausted", "cancelled", "expired"} and not task.retried_as:
        say(f"next: {command('task', 'retry', _id(task.task_id), *tenant)}")


def _rows(event: "TaskEvent") -> Iterator[list[str]]:
    attempt = str(event.attempt) if event.attempt is not None else ""
    yield [_time(event.at), event.kind, attempt, event.actor or "", _detail(event)]
    for reason in event.reasons:
        yield ["", "", "", "", f"  {reason_text(reason)}"]


def reason_text(reason: "Reason") -> str:
    """The rule with what it saw, and where: `keyword.password in output.reply [3:11]`."""
    spans = ", ".join(f"{span.path}[{span.start}:{span.end}]" for span in reason.spans)
    return f"{reason.model_copy(update={'spans': ()})}" + (f" in {spans}" if spans else "")


def _detail(event: "TaskEvent") -> str:
    """What happened in words, from the event's facts."""
    say_it = _DETAILS.get(event.kind)
    return say_it(event.facts) if say_it else ""


def _decided(found: dict[str, Any]) -> str:
    end = "" if found["final"] else ", not final"
    agent = f", run by {found['agent_id']}" if "agent_id" in found else ""
    return f"{found['verdict']}{end} ({found['policy_version']}, audit {found['audit_seq']}){agent}{_user(found)}"


def _user(found: dict[str, Any]) -> str:
    return f", as user {found['by_user']}" if "by_user" in found else ""


def _result(found: dict[str, Any]) -> str:
    if found.get("outcome") == "success":
        text = f"success, confidence {number(found.get('confidence'))}"
    elif "code" in found:
        text = f"failure {found['code']}: {found.get('message', '')}"
    else:
        text = "redacted"
    cost = [f"{found['tokens']} tokens"] if found.get("tokens") else []
    cost += [f"${found['cost_usd']}"] if float(found.get("cost_usd") or 0) else []
    return ", ".join([text, *cost])


_DETAILS: dict[str, Callable[[dict[str, Any]], str]] = {
    "started": lambda found: str(found["skill"]),
    "result": _result,
    "lost": lambda _: "its agent left no result",
    "late": lambda _: "its lease was over: refused",
    "decided": _decided,
    "card opened": lambda found: f"{found['card_id']}, approvals needed: {found['approvals_needed']}",
    "edited": lambda found: f"{found['card_id']} revision {found['revision']}",
    "approved": lambda found: f"{found['card_id']}{_user(found)}",
    "card closed": lambda found: f"{found['card_id']} {found['status']}",
    "committed": lambda found: f"{found['state_key']} version {found['state_version']}" if "state_key" in found else "",
}


def _traceback(task: "TaskHistory", attempt: "TaskAttempt") -> dict[str, Any] | None:
    """Where the traceback of a failed attempt is found: it is logged by the worker, and nowhere stored."""
    if attempt.outcome != "failure" or attempt.agent_id is None:
        return None
    agent = format_id(IdKind.AGENT, attempt.agent_id)
    whose = command("agents", "show", agent)
    fields = {"event": TRACEBACK_EVENT, "task_id": _id(task.task_id), "attempt": attempt.attempt, "agent_id": agent}
    text = f"in the log of the worker ({whose} names it), the line {TRACEBACK_EVENT} with {_id(task.task_id)}"
    return fields | {"text": text}


def _event_json(event: "TaskEvent") -> dict[str, Any]:
    values = event.model_dump(mode="json")
    values["reasons"] = [
        shown | {"text": str(reason)} for shown, reason in zip(values["reasons"], event.reasons, strict=True)
    ]
    return values


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _id(task_id: "UUID") -> str:
    return format_id(IdKind.TASK, task_id)


def _agent(agent_id: "UUID | None") -> str | None:
    return None if agent_id is None else format_id(IdKind.AGENT, agent_id)
