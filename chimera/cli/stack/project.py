"""The project that is run: the user's own folder, or the one that Chimera ships."""

import os
from dataclasses import dataclass
from pathlib import Path

import chimera
from chimera.errors import InvalidInput

PROCFILE = "Procfile"
FLOWERCONFIG = "flowerconfig.py"
CELERYCONFIG = "celeryconfig"


@dataclass(frozen=True, kw_only=True)
class Project:
    """What `chimera up` runs, and where."""

    # Which processes.
    procfile: Path
    # Where they run: its celeryconfig names the skills.
    folder: Path

    @property
    def flowerconfig(self) -> Path:
        """Flower's settings: the project's own, else those that Chimera ships."""
        own = self.folder / FLOWERCONFIG
        return own if own.is_file() else shipped_project().folder / FLOWERCONFIG


def shipped_project() -> Project:
    """The Procfile, the celeryconfig and the examples that come with Chimera.

    In a wheel they are within the package; of a checkout they are the checkout.

    Raises:
        InvalidInput: this installation has none.
    """
    package = Path(chimera.__file__).absolute().parent
    for folder in (package / "_project", package.parent):
        if (folder / PROCFILE).is_file():
            return Project(procfile=folder / PROCFILE, folder=folder)
    raise InvalidInput("this installation of Chimera has no project folder: name a Procfile with --procfile")


def find_project(procfile: Path | None) -> Project:
    """The project of the Procfile named, else that of the working folder, else the one that Chimera ships.

    A working folder with a celeryconfig and no Procfile runs the processes of the Procfile that Chimera ships.

    Raises:
        InvalidInput: there is no such Procfile.
    """
    if procfile is not None:
        if not procfile.is_file():
            raise InvalidInput(f"{procfile}: there is no such Procfile")
        return Project(procfile=procfile.absolute(), folder=procfile.absolute().parent)
    here = Path.cwd()
    if (here / PROCFILE).is_file():
        return Project(procfile=here / PROCFILE, folder=here)
    shipped = shipped_project()
    return Project(procfile=shipped.procfile, folder=here) if _has_celeryconfig(here) else shipped


def _has_celeryconfig(folder: Path) -> bool:
    module = folder / (os.environ.get("CELERY_CONFIG_MODULE") or CELERYCONFIG).replace(".", "/")
    return module.with_name(f"{module.name}.py").is_file() or (module / "__init__.py").is_file()
