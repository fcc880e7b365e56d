"""Who really acts: the user that this process runs as and its login, beside the name that a person gave."""

import os
import pwd
import socket
from collections.abc import Sequence
from functools import cache

import psycopg
from psycopg.rows import DictRow

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import OF_PERSONS


def with_real_user(connection: psycopg.Connection[DictRow], events: Sequence[AuditEvent]) -> list[AuditEvent]:
    """The events, those that people make with `by_user` and `by_login` among their facts."""
    real = {"by_user": _user(), "by_login": connection.info.user}
    return [
        event.model_copy(update={"facts": event.facts | real}) if event.kind in OF_PERSONS else event
        for event in events
    ]


@cache
def _user() -> str:
    """`ann@build-7`: the user of this process and its machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}"
