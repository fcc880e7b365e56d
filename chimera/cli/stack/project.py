"""The project that is run: the user's own folder, or the one that Chimera ships."""

from pathlib import Path

import chimera
from chimera.errors import InvalidInput

PROCFILE = "Procfile"


def shipped_project() -> Path:
    """The folder with the Procfile, the celeryconfig and the examples that come with Chimera.

    In a wheel it is within the package; of a checkout it is the checkout.

    Raises:
        InvalidInput: this installation has none.
    """
    package = Path(chimera.__file__).absolute().parent
    for folder in (package / "_project", package.parent):
        if (folder / PROCFILE).is_file():
            return folder
    raise InvalidInput("this installation of Chimera has no project folder: name a Procfile with --procfile")


def find_procfile(named: Path | None) -> Path:
    """The Procfile named, else that of the working folder, else that which Chimera ships.

    Raises:
        InvalidInput: there is none.
    """
    if named is None:
        own = Path.cwd() / PROCFILE
        return own if own.is_file() else shipped_project() / PROCFILE
    if not named.is_file():
        raise InvalidInput(f"{named}: there is no such Procfile")
    return named.absolute()
