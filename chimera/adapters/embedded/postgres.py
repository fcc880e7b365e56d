"""PostgreSQL as a child process: its cluster is made at the first start, and kept."""

import os
import shutil
import signal
import struct
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import Binaries, postgres_version
from chimera.adapters.embedded.database_urls import OWNER
from chimera.adapters.embedded.launch import launch
from chimera.adapters.embedded.lock import Lock
from chimera.adapters.embedded.log_file import last_lines, open_log
from chimera.adapters.embedded.ports import LOOPBACK
from chimera.adapters.embedded.server import EmbeddedServer
from chimera.errors import EmbeddedServerError

SUPERUSER = "postgres"
DATABASE = "chimera"

# For a machine of 2 cores and 4 GB that runs the whole stack. TCP only: the path of a socket has a limit.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",
    "log_checkpoints": "off",
    "cluster_name": "chimera",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Neither the user's PG* variables nor the language and time zone of the shell are for the server.
ENV = {"LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL with scram passwords and the database `chimera`, which the role `chimera_owner` owns."""

    name = "PostgreSQL"
    # A "fast" shutdown: clients are let go, what is committed is written.
    stop_signal = signal.SIGINT
    death_signal = signal.SIGINT
    # SSLRequest: 8 bytes, the code 80877103. The answer is one byte (protocol-message-formats in its manual).
    question = struct.pack("!ii", 8, 80877103)

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Binaries,
        account: Account,
        superuser_password: str,
        owner_password: str,
        durable: bool = True,
    ) -> None:
        """Set up a server that is not running yet.

        Args:
            folder: where its cluster is; made at the first start. The same folder later has the same data.
            binaries: PostgreSQL's programs.
            account: the user it runs as.
            superuser_password: of the role `postgres`; as it was at the first start.
            owner_password: of the role `chimera_owner`, which may make roles but is no superuser.
            durable: False lets a test do without the disk; a crash of the machine then ruins the cluster.
        """
        super().__init__(folder, account=account)
        self._binaries = binaries
        self._superuser_password = superuser_password
        self._owner_password = owner_password
        self._durable = durable

    def start(self) -> None:
        """Start the server, make the role and the database if they are missing, and return when all answer.

        Raises:
            EmbeddedServerError: it does not start; its folder is of another major version; or its password
                is not the one that the folder was made with.
        """
        super().start()
        try:
            self._make_database()
        except psycopg.OperationalError as exc:
            self.stop()
            raise EmbeddedServerError(
                f"PostgreSQL in {self.folder} does not let us in: {exc}. Its passwords are in the file that "
                "lay beside this folder when it was made. Fix: bring that file back, or move the folder "
                "away to begin anew."
            ) from exc
        except BaseException:
            self.stop()
            raise

    def url(self, role: str, password: str) -> str:
        """Where a role of this name finds the database `chimera`."""
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def _prepare(self) -> None:
        version = postgres_version(self._binaries)
        if not self.data.exists():
            self._init(self.folder / "data.new")
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(version):
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {made_by}, and {self._binaries.path} "
                f"({self._binaries.source}) is {version}: one cannot read the other's files. Fix: set "
                f"CHIMERA_POSTGRES_BIN to the programs of PostgreSQL {made_by}, or move {self.folder} away "
                "to begin anew with an empty database."
            )

    def _init(self, fresh: Path) -> None:
        """Make the cluster beside its place and move it there whole: a killed first start leaves no half."""
        if fresh.exists():
            shutil.rmtree(fresh)
        self._make_data_folder(fresh)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=".password-") as password:
            password.write(self._superuser_password)
            password.flush()
            self.account.own(Path(password.name))
            done = self._run_initdb(fresh, password.name)
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"PostgreSQL's initdb ended with code {done.returncode} in {self.folder}. Its log "
                f"({self.log}) says:\n{last_lines(self.log)}"
            )
        fresh.rename(self.data)

    def _run_initdb(self, fresh: Path, password_file: str) -> subprocess.CompletedProcess[bytes]:
        argv: list[str | Path] = [self._binaries["initdb"], "--pgdata", fresh, "--username", SUPERUSER]
        argv += ["--pwfile", password_file, "--auth", "scram-sha-256"]
        argv += ["--encoding", "UTF8", "--no-locale", "--data-checksums", "--no-instructions"]
        argv += [] if self._durable else ["--no-sync"]
        log = open_log(self.log)
        try:
            return subprocess.run(
                argv,
                cwd=self.folder,
                env=ENV,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                **self.account.identity(),
            )
        finally:
            os.close(log)

    def _launch(self, held: Lock) -> subprocess.Popen[bytes]:
        settings = SETTINGS | (DURABLE if self._durable else FORGETFUL)
        argv: list[str | Path] = [self._binaries.path, "-D", self.data, "-p", str(self.port)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        # We have the lock, so no earlier server is alive. Yet the id that a killed one left in postmaster.pid
        # may by now be another process's, as it often is in a container; PostgreSQL passes over one named so.
        stale = {"PG_GRANDPARENT_PID": pid} if (pid := self._status(0)) else {}
        return launch(
            argv,
            cwd=self.folder,
            env=ENV | stale,
            log=self.log,
            death_signal=self.death_signal,
            identity=self.account.identity(),
            held=[held.descriptor],
        )

    def _answers(self, child: subprocess.Popen[bytes]) -> bool:
        return self._status(0) == str(child.pid) and self._status(7) == "ready"

    def _status(self, line: int) -> str:
        """A line of postmaster.pid, which pg_ctl waits on too: 0 is the process id, 7 the state."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return lines[line].strip() if line < len(lines) else ""

    def _make_database(self) -> None:
        with psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self._superuser_password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            # Hashed here, so that no log of statements shows it.
            secret = connection.pgconn.encrypt_password(
                self._owner_password.encode(), OWNER.encode(), b"scram-sha-256"
            ).decode()
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN CREATEROLE NOSUPERUSER PASSWORD {}").format(
                    verb, sql.Identifier(OWNER), sql.Literal(secret)
                )
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
                )
