"""Settings of a process, read from CHIMERA_* variables; secrets stay hidden, no password has a default."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chimera.errors import InvalidInput, SettingsMissing

# libpq's other form: `host=db dbname=agents`.
_KEYS_AND_VALUES = re.compile(r"\s*\w+\s*=")
_KEY = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
_DATABASE_URL = "_database_url"
_BROKERS = ("redis", "sentinel", "unix")
# An entry of the audit may wait for its checkpoint this number of intervals; after that nothing is decided.
INTERVALS_UNTIL_UNAVAILABLE = 3


def data_dir() -> Path:
    """The folder of the embedded servers: CHIMERA_DATA, or the place for such data of this user.

    Raises:
        InvalidInput: CHIMERA_DATA names a file, or something below one.
    """
    if named := os.environ.get("CHIMERA_DATA"):
        folder = Path(named).expanduser().resolve()
        if file := _file_on_the_way(folder):
            raise InvalidInput(f"CHIMERA_DATA={named}: {file} is a file; name a folder, or one that can be made")
        return folder
    if os.geteuid() == 0:
        return Path("/var/lib/chimera")
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "chimera"


def stack_env_file() -> Path | None:
    """Where a running embedded stack writes its addresses (mode 0600), so that other shells find it.

    CHIMERA_ENV_FILE names another file; empty, none: the processes of a stack know what they were given, and no more.
    """
    named = os.environ.get("CHIMERA_ENV_FILE")
    return data_dir() / "env" if named is None else Path(named) if named else None


def database_url_fault(url: str) -> str | None:
    """What is wrong with the URL of a PostgreSQL database, without the URL's own text; None if nothing is."""
    wanted = "it must be like postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme:
        return None if _KEYS_AND_VALUES.match(url) else f"this is no URL: {wanted}"
    if scheme not in {"postgresql", "postgres"}:
        return f"this is no URL of PostgreSQL: {wanted}"
    return None if _ports_are_numbers(rest) else f"its port is no number: {wanted}"


def redis_url_fault(url: str) -> str | None:
    """What is wrong with the URL of a Redis-compatible server, without the URL's own text; None if nothing is."""
    wanted = "it must be like redis://:PASSWORD@HOST:PORT/NUMBER"
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme or not scheme.startswith(_BROKERS):
        return f"this is no URL of a Redis-compatible server: {wanted}"
    # Several servers (sentinel://a:1;sentinel://b:1) and paths of sockets are their client's to read.
    return None if ";" in url or _ports_are_numbers(rest) else f"its port is no number: {wanted}"


def message_key_fault(keys: str) -> str | None:
    """What is wrong with keys of messages, without their own text; None if nothing is."""
    if all(_KEY.fullmatch(key) for key in _keys(keys)):
        return None
    return "it must be at least 64 hex digits, two for each byte, as `openssl rand -hex 32` makes them"


def _keys(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",")]


class Settings(BaseSettings):
    """What one process needs to know. Each database URL is one role; a process gets only those it uses."""

    model_config = SettingsConfigDict(env_prefix="CHIMERA_", extra="ignore", frozen=True, hide_input_in_errors=True)

    # One URL per database role (SECURITY.md): owner migrates and adds tenants, app submits and reads,
    # worker claims and stages, judge decides and commits, review writes what people decide, seal
    # makes checkpoints of the audit.
    owner_database_url: SecretStr | None = None
    app_database_url: SecretStr | None = None
    worker_database_url: SecretStr | None = None
    judge_database_url: SecretStr | None = None
    seal_database_url: SecretStr | None = None
    review_database_url: SecretStr | None = None
    # The tenant whose alone the logins above and below are (`chimera tenant credentials`). They say so themselves; this
    # names the keys that they reach at the broker.
    bound_tenant: str | None = Field(default=None, pattern="^[a-z0-9][a-z0-9_-]{0,62}$")
    # Celery's broker and result store, one server: redis://[:password@]host:port/db
    redis_url: SecretStr | None = None
    # Signs the messages that processes send each other: at least 64 hex digits, the same in every process that sends or
    # runs tasks. Several, with commas between, while one is exchanged for another: the first signs, each counts.
    message_key: SecretStr | None = None

    # For `chimera seal` (docs/audit.md): folders and http(s) URLs that keep the audit's checkpoints, with commas
    # between; where none is named there are none. And the folder of the keys that sign them.
    checkpoints: str | None = None
    audit_keys: Path | None = None
    # How often a tenant with new entries gets one.
    checkpoint_seconds: float = Field(default=60.0, ge=1, le=86_400)
    # The name of this deployment in its checkpoints.
    checkpoint_origin: str = Field(default="chimera", min_length=1)
    # For who decides: nothing is decided once an entry of the audit has waited so long for its checkpoint. Where it is
    # not set: three times `checkpoint_seconds` where places are named, else nothing need be sealed.
    sealed_within_seconds: float | None = Field(default=None, gt=0)

    # Tasks in one wave, which is one Celery chord and one transaction of the Judge.
    wave_size: int = Field(default=400, ge=1, le=1000)
    # Waves of one tenant that may be in flight; the rest waits in PostgreSQL.
    wave_window: int = Field(default=8, ge=1, le=1000)
    # How long a planner may run; a planner that was lost is started again after this.
    planner_timeout_seconds: float = Field(default=300.0, gt=0)
    # Upper limits of one request and of one result, in bytes of JSON.
    max_inputs_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_output_bytes: int = Field(default=1024 * 1024, ge=1024)
    # What the gate looks at of one result's text, in bytes, and for how long, in seconds; more goes to a person.
    max_gate_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    max_gate_seconds: float = Field(default=1.0, gt=0, le=60)
    max_tasks_per_plan: int = Field(default=1_000_000, ge=1)
    # Memory for the data of each child of a prefork pool, in bytes: a skill that needs more gets a MemoryError.
    max_child_memory_bytes: int | None = Field(default=None, ge=128 * 1024 * 1024)
    # Where a worker runs skills and planners (docs/architecture.md, "Levels of isolation"): in its own processes, which
    # is for the operator's own code, or in hosts, which have no credentials.
    isolation: Literal["trusted", "host"] = "trusted"
    # The user ids, from-to, of which each host of a worker gets one that may change its user.
    host_users: str = Field(default="64200-64455", pattern=r"^[1-9][0-9]{0,8}-[1-9][0-9]{0,8}$")
    # Names of variables that hosts get of the worker's environment, and paths that they may read besides Python, the
    # system and the project; with commas between.
    host_variables: str = ""
    host_paths: str = ""
    # Calls of skills that overran and that nothing can end, in a worker of the threads pool: with one more the worker
    # hands over what it has not started, and ends, for its supervisor to start it again.
    max_calls_left_behind: int = Field(default=32, ge=1)
    # From which level on the command line logs, to standard error: from INFO on with a line for each decision of a
    # person. Workers and beat have Celery's --loglevel.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    # Connections that one process keeps to PostgreSQL, for each role that it uses.
    database_pool_size: int = Field(default=4, ge=1)

    @field_validator("host_variables")
    @classmethod
    def _are_no_credentials(cls, names: str) -> str:
        if own := [name for name in names.split(",") if name.strip().startswith("CHIMERA_")]:
            raise ValueError(f"{', '.join(own)}: no host gets a variable of Chimera's")
        return names

    @field_validator(
        "owner_database_url",
        "app_database_url",
        "worker_database_url",
        "judge_database_url",
        "seal_database_url",
        "review_database_url",
    )
    @classmethod
    def _is_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        return _checked(url, database_url_fault)

    @field_validator("audit_keys", mode="before")
    @classmethod
    def _is_folder(cls, named: object) -> object:
        return named or None

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        return _checked(url, redis_url_fault)

    @field_validator("message_key")
    @classmethod
    def _is_message_key(cls, keys: SecretStr | None) -> SecretStr | None:
        return _checked(keys, message_key_fault)

    @property
    def logins(self) -> tuple[str, ...]:
        """The database roles whose login this process knows."""
        roles = (name.removesuffix(_DATABASE_URL) for name in type(self).model_fields if name.endswith(_DATABASE_URL))
        return tuple(role for role in roles if getattr(self, f"{role}{_DATABASE_URL}") is not None)

    @property
    def message_keys(self) -> list[bytes]:
        """The keys of CHIMERA_MESSAGE_KEY; the first one signs."""
        keys = self.message_key
        return [] if keys is None else [bytes.fromhex(key) for key in _keys(keys.get_secret_value())]

    @property
    def checkpoint_places(self) -> list[str]:
        """The folders and URLs of CHIMERA_CHECKPOINTS."""
        return [place.strip() for place in (self.checkpoints or "").split(",") if place.strip()]

    @property
    def sealing_limit_seconds(self) -> float | None:
        """How long an entry of the audit may wait for its checkpoint; None where there need be none."""
        if self.sealed_within_seconds is None and self.checkpoint_places:
            return INTERVALS_UNTIL_UNAVAILABLE * self.checkpoint_seconds
        return self.sealed_within_seconds

    def require(self, name: str) -> str:
        """The secret value of a URL setting.

        Raises:
            SettingsMissing: it has no value; the message names the variable and what sets it.
        """
        value: SecretStr | None = getattr(self, name)
        if value is None:
            variable = f"CHIMERA_{name.upper()}"
            raise SettingsMissing(
                f"{variable} is not set. Start the embedded servers with `chimera up`, or set {variable}."
            )
        return value.get_secret_value()


@cache
def settings() -> Settings:
    """The settings of this process: the environment first, then a running embedded stack's env file.

    Raises:
        InvalidInput: a variable has a value that cannot be used; the message names it, never the value.
    """
    try:
        return Settings(_env_file=stack_env_file())
    except ValidationError as exc:
        faults = "; ".join(
            f"CHIMERA_{'_'.join(str(part) for part in fault['loc']).upper()}: "
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in exc.errors()
        )
        raise InvalidInput(f"settings: {faults}") from exc


def _file_on_the_way(folder: Path) -> Path | None:
    """The file that this path names or passes, if it does."""
    for path in (folder, *folder.parents):
        with suppress(PermissionError):  # the process that reads the folder reports that
            if path.exists():
                return None if path.is_dir() else path
    return None


def _checked(url: SecretStr | None, fault_of: Callable[[str], str | None]) -> SecretStr | None:
    # A variable that is set to nothing is as one that is not set.
    if url is None or not url.get_secret_value():
        return None
    if fault := fault_of(url.get_secret_value()):
        raise ValueError(fault)
    return url


def _ports_are_numbers(rest: str) -> bool:
    """Whether each host of a URL's rest after :// has a port that is a number, or none."""
    hosts = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].split(",")
    # The colons of an IPv6 address stand within brackets.
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts]
    return all(not port or port.isdecimal() for port in ports)
