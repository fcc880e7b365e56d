"""What may come in: the check of a message as it leaves the queue, before Celery or kombu act on it.

What is let in is not what came: it is built anew of the task's name, the validated arguments and the few options that
are signed.
"""

import re
from collections.abc import Container

from chimera.adapters.celery.envelope import (
    Arguments,
    Built,
    Envelope,
    Follower,
    Followers,
    Options,
    built_anew,
    hidden,
)
from chimera.adapters.celery.messages import HIDDEN, JUDGE, MESSAGES, WORK, Message, WaveArguments
from chimera.adapters.celery.queue_names import JUDGE_QUEUE, PLAN_QUEUE, TENANT_QUEUE_PREFIX
from chimera.adapters.celery.signer import Signer

# A batch of 1,000 task ids has about 50 KB.
MAX_BYTES = 256 * 1024
# A plan that beat submits travels with its inputs, of which CHIMERA_MAX_INPUTS_BYTES allows 32 MiB; as base64.
MAX_PLAN_BYTES = 48 * 1024 * 1024
# What was put back so often ends its worker each time, or its workers have other reasons to end. Chimera's own is sent
# again by the sweep, where there is something left to do.
MAX_REDELIVERIES = 5

_ID = re.compile(r"[0-9a-f-]{32,36}")


class Refused(Exception):
    """A message may not come in; `reason` is one word for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_guarded(queue: str) -> bool:
    """Whether messages of this queue are looked at: Chimera's own are, those of users' own Celery tasks are not."""
    return queue in {PLAN_QUEUE, JUDGE_QUEUE} or queue.startswith(TENANT_QUEUE_PREFIX)


def let_in(raw: bytes, queue: str, registered: Container[str], signer: Signer) -> Built:
    """The message to give to Celery in place of this one.

    Args:
        raw: the message as the queue held it.
        queue: the guarded queue that it came from.
        registered: the names of the tasks that this worker has.
        signer: of this deployment.

    Raises:
        Refused: it may not come in.
    """
    if len(raw) > (MAX_PLAN_BYTES if queue == PLAN_QUEUE else MAX_BYTES):
        raise Refused("too_large")
    try:
        envelope = Envelope.read(raw)
        arguments = envelope.arguments()
    except (ValueError, RecursionError):
        raise Refused("not_a_message") from None
    if not envelope.is_signed(signer, queue):
        raise Refused("unsigned")
    if envelope.properties.delivery_info.redeliveries >= MAX_REDELIVERIES:
        raise Refused("redelivered")
    options: Options = envelope.headers
    if options.task not in registered:
        raise Refused("unknown_task")
    if options.task.startswith("chimera."):
        options, arguments = _ours(options, arguments, queue)
    elif queue == JUDGE_QUEUE or options.task.startswith("celery."):
        # Celery's own tasks run others; and what runs on the judge's queue has the judge's credentials.
        raise Refused("wrong_queue")
    try:
        return built_anew(options, arguments, envelope.properties, signer, queue)
    except (ValueError, RecursionError):
        raise Refused("not_a_message") from None


def _ours(options: Options, arguments: Arguments, queue: str) -> tuple[Options, Arguments]:
    """The options and arguments of a message to one of Chimera's own tasks."""
    ids = (options.id, *filter(None, (options.root_id, options.parent_id, options.group)))
    # They stand in Celery's log lines.
    if not all(map(_ID.fullmatch, ids)) or options.shadow is not None:
        raise Refused("not_a_message")
    message, given = MESSAGES.get(options.task), tuple(arguments.positional)
    if message is None or not message.is_valid(given, arguments.named):
        raise Refused("wrong_arguments")
    if not message.is_for(queue, given):
        raise Refused("wrong_queue")
    return hidden(options), arguments._replace(followers=_followers(message, options, arguments))


def _followers(message: Message, options: Options, arguments: Arguments) -> Followers:
    """What follows one of Chimera's own tasks: a batch its wave's Judge, and others nothing."""
    chord = arguments.followers.chord
    if arguments.followers == Followers():
        return Followers()
    wave = arguments.positional[: len(WaveArguments._fields)]
    if (
        chord is None
        or message is not WORK
        or arguments.followers != Followers(chord=chord)
        or (chord.task, chord.args, chord.named) != (JUDGE.task, wave, {})
    ):
        raise Refused("wrong_arguments")
    judge_id = chord.options.get("task_id")
    if options.group is None or not isinstance(judge_id, str) or not _ID.fullmatch(judge_id):
        raise Refused("not_a_message")
    ids = {"task_id": judge_id, "group_id": options.group}
    # As queue.py sends it.
    sent = {"queue": JUDGE_QUEUE, "ignore_result": True, **HIDDEN} | ids
    return Followers(chord=Follower(task=JUDGE.task, args=wave, options=sent, immutable=True))
