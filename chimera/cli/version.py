"""`chimera version`."""

import platform
from importlib import metadata

from chimera import __version__
from chimera.cli.output import Format, Output, document, tell


def version(output: Output = Format.TABLE) -> None:
    """The versions of Chimera and its parts."""
    versions = {"chimera": __version__, "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in ("celery", "kombu", "redis", "psycopg")}
    if output is Format.JSON:
        document(versions)
        return
    for name, number in versions.items():
        tell(f"{name} {number}")
