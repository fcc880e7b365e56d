"""A variable that cannot be used is named, with what is wrong, in one line that does not show its value."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chimera.errors import InvalidInput
from chimera.settings import data_dir, settings


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CHIMERA_DATA", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("role", ["OWNER", "APP", "WORKER", "JUDGE", "SEAL"])
@pytest.mark.parametrize(
    "url",
    [
        "notaurl",
        "mysql://u:s3cret@h/d",
        "postgresql+psycopg://u:s3cret@h/d",
        "postgresql://u:s3cret@h:nope/d",
        "h:5432",
    ],
)
def test_what_is_no_database_url(role: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CHIMERA_{role}_DATABASE_URL", url)
    with pytest.raises(InvalidInput) as refused:
        settings()
    said = str(refused.value)
    assert said.startswith(f"settings: CHIMERA_{role}_DATABASE_URL: ")
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in said
    assert "s3cret" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/d",
        "postgres://h/d?sslmode=require",
        "postgresql://u@[::1]:5432/d",
        "postgresql://u:p@h1:5432,h2:5433/d",
        "postgresql:///d?host=/run/postgresql",
        "host=h dbname=d user=u",
    ],
)
def test_what_is_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_APP_DATABASE_URL", url)
    assert settings().require("app_database_url") == url


@pytest.mark.parametrize("url", ["notaurl", "amqp://h", "redis://:s3cret@h:nope/0"])
def test_what_is_no_redis_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_REDIS_URL", url)
    with pytest.raises(InvalidInput, match=r"^settings: CHIMERA_REDIS_URL: .*redis://.*HOST:PORT/NUMBER") as refused:
        settings()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:p@h:6380/1", "sentinel://a:26379/0;sentinel://b:26379/0", "redis+socket:///tmp/s"]
)
def test_what_is_a_redis_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_REDIS_URL", url)
    assert settings().require("redis_url") == url


@pytest.mark.parametrize("keys", ["s3cret", "ab" * 31, "xy" * 32, f"{'ab' * 32},", f"{'ab' * 32},s3cret"])
def test_what_is_no_key_of_messages(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_MESSAGE_KEY", keys)
    with pytest.raises(InvalidInput, match=r"^settings: CHIMERA_MESSAGE_KEY: .*64 hex digits.*openssl") as refused:
        settings()
    assert keys not in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "read"),
    [
        ("ab" * 32, [b"\xab" * 32]),
        (f"{'AB' * 32}, {'cd' * 40}", [b"\xab" * 32, b"\xcd" * 40]),
        ("", []),
    ],
)
def test_keys_of_messages(keys: str, read: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_MESSAGE_KEY", keys)
    assert settings().message_keys == read
    assert "ab" * 32 not in repr(settings()).lower()


@pytest.mark.parametrize("below", ["", "below/it"])
def test_a_data_folder_that_is_a_file(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passwd"
    file.touch()
    named = file / below
    monkeypatch.setenv("CHIMERA_DATA", str(named))
    for ask in (data_dir, settings):
        with pytest.raises(InvalidInput) as refused:
            ask()
        assert str(refused.value) == f"CHIMERA_DATA={named}: {file} is a file; name a folder, or one that can be made"


def test_a_data_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMERA_DATA", str(tmp_path / "a" / "b"))
    assert data_dir() == (tmp_path / "a" / "b").resolve()
