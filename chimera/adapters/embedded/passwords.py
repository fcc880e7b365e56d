"""Random passwords of the embedded servers, kept in a file so that the same data opens again."""

import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from chimera.adapters.files.durable import replace
from chimera.errors import EmbeddedServerError


def passwords(path: Path, names: Iterable[str]) -> Mapping[str, str]:
    """A password for each name, 64 hex digits: read from the file, or made and kept there (0600).

    Raises:
        EmbeddedServerError: the file is damaged.
    """
    known = _read(path)
    missing = [name for name in names if name not in known]
    if missing:
        known |= {name: secrets.token_hex(32) for name in missing}
        replace(path, json.dumps(known, indent=1) + "\n")
    return known


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as exc:
        raise EmbeddedServerError(
            f"{path} holds the passwords of the data beside it and is damaged: {exc}. "
            f"Fix: bring it back, or move {path.parent} away to begin anew."
        ) from exc
