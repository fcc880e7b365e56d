"""Servers and processes for one measurement, on a data folder of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chimera import logs
from chimera.adapters.embedded.servers import EmbeddedServers
from chimera.adapters.embedded.supervisor import Supervisor

ROOT = Path(__file__).parent.parent
ROLES = ("APP", "WORKER", "JUDGE")


@contextmanager
def servers(config: str = "benchmarks.celeryconfig") -> Iterator[dict[str, str]]:
    """PostgreSQL and Valkey with their real durability, migrated; yields the variables that name them."""
    logs.configure("WARNING")  # to standard error: standard output is for the figures
    folder = Path(tempfile.mkdtemp(prefix="chimera-bench-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServers(folder, {}) as running:
            os.environ |= running.variables | {"CHIMERA_DATA": str(folder)}
            os.environ["CELERY_CONFIG_MODULE"] = config
            from chimera.bootstrap import migrations, role_urls, services

            migrations().upgrade(role_urls())
            services().adapters.tenants.add("bench", actor="bench")
            yield running.variables
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def processes(commands: Mapping[str, str], **environment: str) -> Iterator[Supervisor]:
    """These commands as child processes in the project's folder."""
    with tempfile.TemporaryDirectory(prefix="chimera-bench-") as folder:
        procfile = Path(folder) / "Procfile"
        procfile.write_text("".join(f"{name}: {command}\n" for name, command in commands.items()))
        env = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        with Supervisor(procfile, env=env, cwd=ROOT, log_dir=Path(folder)) as running:
            yield running


def chimera_processes(workers: int = 2, judges: int = 2) -> dict[str, str]:
    """The Procfile's worker, judge and beat."""
    quiet = "--without-mingle --without-gossip"
    return {
        "worker": f"celery -A chimera worker -X judge -c {workers} -n worker@%h {quiet}",
        "judge": f"celery -A chimera worker -Q judge -c {judges} -n judge@%h {quiet}",
        "beat": "celery -A chimera beat --schedule ${CHIMERA_DATA}/celerybeat-schedule",
    }


def peak_rss_mb(pid: int) -> float:
    """The most memory that a process or one of its children has held so far, in MB (VmHWM of proc(5))."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return max(_high_water_mb(each) for each in [str(pid), *children])


def _high_water_mb(pid: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
