"""`chimera init`: a project to begin with."""

import os
import shlex
import shutil
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from chimera.cli.context import command
from chimera.cli.output import Format, Output, document, say, tell
from chimera.errors import InvalidInput

CELERYCONFIG, SKILLS = "celeryconfig.py", "skills.py"
# The files of a project: from the template, or, where it says so, of what `chimera up` runs without one.
_TEMPLATE = {
    CELERYCONFIG: "celeryconfig.py",
    "test_skills.py": "test_skills.py",
    "pytest.ini": "pytest.ini",
    "README.md": "README.md",
    ".env.example": "env.example",
    ".gitignore": "gitignore",
}
_SHIPPED = {
    SKILLS: "examples/quickstart.py",
    "Procfile": "Procfile",
    "flowerconfig.py": "flowerconfig.py",
}


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = Path(),
    output: Output = Format.TABLE,
) -> None:
    """Make a project: skills with a test, and what `up`, Celery, Flower and pytest need to run them.

    A file that is there already stays as it is.
    """
    made, kept = _make(folder)
    if output is Format.JSON:
        document({"folder": str(folder.resolve()), "made": made, "kept": kept})
        return
    if made:
        tell(f"made in {folder.resolve()}: {', '.join(made)}")
    if kept:
        tell(f"there already, and left as it is: {', '.join(kept)}")
    if CELERYCONFIG in kept and SKILLS in made:
        say(f"next: name skills in `imports` of {CELERYCONFIG}")
    for line in _next(folder):
        say(f"next: {line}")


def _make(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the files that were made, and of those that were there.

    Raises:
        InvalidInput: the folder or a file in it cannot be made.
    """
    made: list[str] = []
    kept: list[str] = []
    contents = _contents()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            try:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(content)
            except FileExistsError:
                kept.append(name)
            else:
                made.append(name)
    except OSError as exc:
        raise InvalidInput(f"{exc.filename or folder}: no project can be made there ({exc.strerror})") from exc
    return made, kept


def _contents() -> dict[str, str]:
    from chimera.cli.stack.project import shipped_project

    shipped = shipped_project().folder
    sources = {name: shipped / "template" / source for name, source in _TEMPLATE.items()}
    sources |= {name: shipped / source for name, source in _SHIPPED.items()}
    return {name: sources[name].read_text(encoding="utf-8") for name in sorted(sources)}


def _next(folder: Path) -> list[str]:
    """What to type next, as it can be typed from here."""
    found = shutil.which("python")
    # ./run has its own Python first on PATH, and the shell that it was typed in has not.
    is_first = found is not None and Path(found).parent == Path(sys.executable).parent
    python = "python" if is_first and "CHIMERA_COMMAND" not in os.environ else shlex.quote(sys.executable)
    typed, acme = partial(command, within=folder), ("--tenant", "acme")
    lines = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    lines += [
        typed("up", *acme, "--detach"),
        typed("plan", "submit", "greetings", *acme, "--set", 'names=["Ada", "R2-D2"]', "--watch"),
        typed("review", "list", *acme),
    ]
    if find_spec("pytest") is None:
        lines.append(f"{python} -m pip install pytest")
    return [*lines, f"{python} -m pytest", typed("down")]
