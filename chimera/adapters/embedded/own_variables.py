"""What each process of a Procfile is given of the logins, passwords and keys: those that it uses, and no others."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from chimera.adapters.embedded.database_urls import OWNER_URL

_REDIS, _APP, _WORKER = "CHIMERA_REDIS_URL", "CHIMERA_APP_DATABASE_URL", "CHIMERA_WORKER_DATABASE_URL"
_JUDGE, _KEY = "CHIMERA_JUDGE_DATABASE_URL", "CHIMERA_MESSAGE_KEY"
_SEAL, _CHECKPOINTS, _AUDIT_KEYS = "CHIMERA_SEAL_DATABASE_URL", "CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS"
_FLOWER_LOGIN = "CHIMERA_FLOWER_BASIC_AUTH"

# What a process of each kind uses; of the variables below it gets no other.
OWN: Mapping[str, frozenset[str]] = {
    "worker": frozenset({_REDIS, _KEY, _APP, _WORKER}),
    "judge": frozenset({_REDIS, _KEY, _JUDGE}),
    "beat": frozenset({_REDIS, _KEY}),
    "seal": frozenset({_SEAL, _CHECKPOINTS, _AUDIT_KEYS}),
    "flower": frozenset({_REDIS, _FLOWER_LOGIN}),
    # A program of the project's own that submits and reads.
    "client": frozenset({_REDIS, _KEY, _APP}),
}
_GUARDED = frozenset({OWNER_URL, _FLOWER_LOGIN}).union(*OWN.values())
# Logins of roles that are not named above are given to nobody.
_LOGIN = re.compile(r"CHIMERA_\w+_DATABASE_URL")

# Empty: this process reads no file with what its environment lacks (chimera/settings.py).
NO_ENV_FILE = {"CHIMERA_ENV_FILE": ""}

_SHELL_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def own_variables(command: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: `env` without the logins, passwords and keys that it has no use for.

    A line that names such a variable gets it, whatever it runs:
    `web: CHIMERA_JUDGE_DATABASE_URL=$CHIMERA_JUDGE_DATABASE_URL python web.py`.

    Args:
        command: the Procfile's line, without the name before it.
        env: what there is.
    """
    own = frozenset().union(*(OWN[kind] for kind in kinds(command, env)))
    given = {
        name: value
        for name, value in env.items()
        if name in own or not _is_guarded(name) or re.search(rf"\b{name}\b", command)
    }
    return given | NO_ENV_FILE


def kinds(command: str, env: Mapping[str, str]) -> Sequence[str]:
    """What a line of a Procfile runs, in the words of `OWN`: a worker that also judges is both."""
    words = _words(command, env)
    programs = [word.rpartition("/")[2] for word in words]
    if "celery" not in programs:
        return ["seal" if ("chimera", "seal") in pairwise(programs) else "client"]
    arguments = words[programs.index("celery") + 1 :]
    if "worker" not in arguments:
        return [next((kind for kind in ("beat", "flower") if kind in arguments), "client")]
    named, left_out = set(_queues(arguments, "-Q", "--queues")), set(_queues(arguments, "-X", "--exclude-queues"))
    judges = "judge" not in left_out and (not named or "judge" in named)
    works = not named or bool(named - {"judge"})
    return [kind for kind, is_one in (("worker", works), ("judge", judges)) if is_one]


def _is_guarded(name: str) -> bool:
    return name in _GUARDED or _LOGIN.fullmatch(name) is not None


def _words(command: str, env: Mapping[str, str]) -> list[str]:
    """The words of a line, as /bin/sh makes them of the plainer forms."""

    def value(match: re.Match[str]) -> str:
        return env.get(match[1] or match[3]) or match[2] or ""

    try:
        return shlex.split(_SHELL_VARIABLE.sub(value, command))
    except ValueError:  # the shell will say so
        return command.split()


def _queues(arguments: Sequence[str], short: str, long: str) -> Iterator[str]:
    """The names that an option of Celery's lists, in each of the ways to write it."""
    for place, word in enumerate(arguments):
        listed = ""
        if word in (short, long):
            listed = arguments[place + 1] if place + 1 < len(arguments) else ""
        elif word.startswith(f"{long}="):
            listed = word.partition("=")[2]
        elif word.startswith(short) and not word.startswith("--"):
            listed = word.removeprefix(short).removeprefix("=")
        yield from (name.strip() for name in listed.split(",") if name.strip())
