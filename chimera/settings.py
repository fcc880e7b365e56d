"""Settings of a process, read from CHIMERA_* variables; secrets stay hidden, no password has a default."""

import os
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chimera.errors import InvalidInput, SettingsMissing


def data_dir() -> Path:
    """The folder of the embedded servers: CHIMERA_DATA, or the place for such data of this user."""
    if folder := os.environ.get("CHIMERA_DATA"):
        return Path(folder).expanduser().resolve()
    if os.geteuid() == 0:
        return Path("/var/lib/chimera")
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "chimera"


def stack_env_file() -> Path:
    """Where a running embedded stack writes its addresses (mode 0600), so that other shells find it."""
    return data_dir() / "env"


class Settings(BaseSettings):
    """What one process needs to know. Each database URL is one role; a process gets only those it uses."""

    model_config = SettingsConfigDict(env_prefix="CHIMERA_", extra="ignore", frozen=True, hide_input_in_errors=True)

    # One URL per database role (SECURITY.md): owner migrates and adds tenants, app submits and reads,
    # worker claims and stages, judge decides and commits.
    owner_database_url: SecretStr | None = None
    app_database_url: SecretStr | None = None
    worker_database_url: SecretStr | None = None
    judge_database_url: SecretStr | None = None
    # Celery's broker and result store, one server: redis://[:password@]host:port/db
    redis_url: SecretStr | None = None

    # The audit's checkpoints (docs/audit.md): folders and http(s) URLs that keep them, with commas between; where none
    # is named there are no checkpoints. And the folder of the keys that sign them.
    checkpoints: str | None = None
    audit_keys: Path | None = None
    # How often a tenant with new entries gets one. Nothing is decided once an entry has waited three times as long.
    checkpoint_seconds: float = Field(default=60.0, ge=1, le=86_400)
    # The name of this deployment in its checkpoints.
    checkpoint_origin: str = Field(default="chimera", min_length=1)

    # Tasks in one wave, which is one Celery chord and one transaction of the Judge.
    wave_size: int = Field(default=400, ge=1, le=1000)
    # Waves of one tenant that may be in flight; the rest waits in PostgreSQL.
    wave_window: int = Field(default=8, ge=1, le=1000)
    # How long a planner may run; a planner that was lost is started again after this.
    planner_timeout_seconds: float = Field(default=300.0, gt=0)
    # Upper limits of one request and of one result, in bytes of JSON.
    max_inputs_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_output_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_tasks_per_plan: int = Field(default=1_000_000, ge=1)
    # Memory for the data of each child of a prefork pool, in bytes: a skill that needs more gets a MemoryError.
    max_child_memory_bytes: int | None = Field(default=None, ge=128 * 1024 * 1024)
    # Connections that one process keeps to PostgreSQL, for each role that it uses.
    database_pool_size: int = Field(default=4, ge=1)

    @property
    def checkpoint_places(self) -> list[str]:
        """The folders and URLs of CHIMERA_CHECKPOINTS."""
        return [place.strip() for place in (self.checkpoints or "").split(",") if place.strip()]

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
            f"CHIMERA_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}" for fault in exc.errors()
        )
        raise InvalidInput(f"settings: {faults}") from exc
