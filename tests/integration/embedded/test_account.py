import os
import pwd
from pathlib import Path

import pytest

from chimera.adapters.embedded.account import Account
from chimera.errors import EmbeddedServerError


def no_entry(_: object) -> pwd.struct_passwd:
    raise KeyError


def test_a_user_without_an_entry_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(EmbeddedServerError, match=r"no user with the id 12345 \(/etc/passwd\)"):
        Account.for_servers()


def test_root_without_nobody_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", no_entry)
    with pytest.raises(EmbeddedServerError, match="no user nobody"):
        Account.for_servers()


def test_the_outermost_closed_folder_is_named(data_dir: Path, account: Account) -> None:
    assert account.closed_folder(data_dir) is None
    closed = data_dir / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o000)
    assert account.closed_folder(closed / "inner") == closed
    closed.chmod(0o700)
