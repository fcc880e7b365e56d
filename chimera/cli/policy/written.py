"""A policy as somebody has written it: read from its file, held against a floor, and what may not be meant in it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from chimera.cli.context import load_user_code
from chimera.errors import BelowFloor, InvalidInput, SettingsMissing

if TYPE_CHECKING:
    from chimera.models.gate.policy import Policy

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A policy in YAML; - reads standard input.")]


class Written(NamedTuple):
    """A policy, with the text that it stands in."""

    file: Path
    text: str
    policy: "Policy"

    def below(self, operators: "Policy", tenant: str | None) -> list[str]:
        """Where it is below the floor of the operator's, by line."""
        from chimera.models.gate.floor import below
        from chimera.models.gate.policy_file import located

        return located(self.text, str(self.file), below(self.policy, operators, tenant))

    def require_above(self, operators: "Policy", tenant: str | None) -> None:
        """Sees that it is not below that floor.

        Raises:
            BelowFloor: it is; the message names each line.
        """
        if faults := self.below(operators, tenant):
            raise BelowFloor("\n".join(faults))


def read(file: Path) -> Written:
    """The policy in a file.

    Raises:
        InvalidInput: it cannot be read, or is none; the message names each line.
    """
    from chimera.models.gate.policy_file import read_policy

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InvalidInput(f"{file} cannot be read: {reason}") from exc
    return Written(file, text, read_policy(text, str(file)))


def notes_on(policy: "Policy") -> list[str]:
    """What is allowed, and perhaps not meant."""
    try:
        known = load_user_code().skills
    except SettingsMissing:
        notes = ["the names of skills were not looked at: CHIMERA_REDIS_URL is not set, so that no project is loaded"]
    else:
        notes = [
            f"no skill named {skill!r} is registered here: what the policy says of it has no effect"
            for skill in sorted(policy.skills_named - set(known))
        ]
    if policy.budget is not None and (bare := _without_reserve(policy)):
        notes.append(f"budget: nothing is set aside for {bare}: say `reserve` there, or in defaults")
    if not policy.rules:
        notes.append("rules: none, so that no text is looked at; leave the key out for the default rules")
    return notes


def _without_reserve(policy: "Policy") -> str:
    """The skills for which the policy sets nothing aside; empty where `defaults` does."""
    if policy.defaults.reserve is not None:
        return ""
    bare = sorted(name for name in policy.skills if policy.of_skill(name).reserve is None)
    return ", ".join([*bare, "skills that it does not name"])
