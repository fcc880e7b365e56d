"""The file by which other shells find a running stack: KEY=VALUE lines that dotenv and sh read alike."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from chimera.adapters.files.durable import replace
from chimera.errors import EmbeddedServerError

# Within single quotes dotenv expands ${...} and backslashes, and sh does not.
_NOT_ALIKE = re.compile(r"['\\\r\n]|\$\{")


def write_env_file(path: Path, variables: Mapping[str, str]) -> None:
    """Write the variables (mode 0600).

    Raises:
        EmbeddedServerError: a value cannot be written so that it is read back the same.
    """
    for name, value in variables.items():
        if _NOT_ALIKE.search(value):
            raise EmbeddedServerError(
                f"{name} has a single quote, a backslash, a line break or '${{' in it, which {path} cannot "
                "hold. Fix: in a URL, percent-encode that character; else choose another."
            )
    replace(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))


def read_env_file(path: Path) -> dict[str, str]:
    """The variables that `write_env_file` wrote; none if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}
