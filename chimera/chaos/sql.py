"""Statements of this package's .sql files, by name."""

from functools import cache
from importlib import resources


@cache
def statements(name: str) -> dict[str, str]:
    """The statements of `<name>.sql`: each begins with a line `-- name: <its name>`."""
    return {title: body for title, _, body in sections(name)}


@cache
def sections(name: str) -> tuple[tuple[str, str, str], ...]:
    """Each statement with its name and its sentence, which is the comment after the name."""
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    found = []
    for part in text.split("-- name: ")[1:]:
        title, _, body = part.partition("\n")
        lines = body.strip().splitlines()
        comment = [line.removeprefix("-- ") for line in lines if line.startswith("--")]
        found.append((title.strip(), " ".join(comment), "\n".join(lines[len(comment) :])))
    return tuple(found)
