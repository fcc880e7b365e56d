"""Level `pool`: each tenant's skills run in workers with that tenant's own logins, as a user of their own.

The attacks are those of attacks_on_canary.py. On a state without such logins both tenants' workers have those that all
share, and are users of their own all the same.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.attacks.skill_code.attacks_on_canary import ATTACKS, LEFTOVERS, PLANTS
from tests.attacks.skill_code.other_user import as_user, cannot_run
from tests.attacks.skill_code.swarm import Swarm, a_swarm_of
from tests.conftest import running_servers
from tests.integration.processes import LocalProcess

CHIMERA = Path(sys.executable).with_name("chimera")
# Of nobody else on this machine.
UIDS = {"attacker": 61_801, "victim": 61_802}

# What succeeds and reaches nothing but the tenant's own workers: they are its own, and so is what is left in them.
ITS_OWN = frozenset(
    {
        *("signal_to_parent", "ptrace_of_parent", "descriptor_of_parent", "sockets_that_are_open", "signal_to_others"),
        *("ptrace_of_all", "child", "daemon"),
    }
)
TABLE = sorted({*ATTACKS, *PLANTS, *LEFTOVERS} - ITS_OWN)


class Pools(Swarm):
    """The same two tenants, with workers of their own."""

    def own_worker(self, who: str) -> LocalProcess:
        """The worker of the attacker's or the victim's, not started yet."""
        tenant = str(getattr(self, who))
        own = self._credentials(tenant)
        line = [
            *("worker", "-Q", f"tenant.{tenant}" if own else f"plan,tenant.{tenant}", "-c", "1", "-n", f"{who}@%h"),
            *("--without-mingle", "--without-gossip"),
        ]
        process = LocalProcess(who, line, self.variables | own, self.folder / f"{who}.log", "ready.", self.folder)
        process._command = [*as_user(UIDS[who]), *process._command]
        return process

    def _credentials(self, tenant: str) -> dict[str, str]:
        done = subprocess.run(
            [CHIMERA, "tenant", "credentials", tenant, "-o", "json"],
            cwd=self.folder, env=os.environ | self.servers | {"CHIMERA_REDIS_URL": self.broker},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return json.loads(done.stdout) if done.returncode == 0 else {}


@contextmanager
def _sweeping(swarm: Swarm) -> Iterator[None]:
    """Sweeps, in a process of its own: it sends what such workers' planners have planned."""
    env = os.environ | swarm.servers | {"CHIMERA_REDIS_URL": swarm.broker, "CELERY_CONFIG_MODULE": "nothing"}
    with subprocess.Popen([sys.executable, "-c", SWEEPER], cwd=swarm.folder, env=env) as sweeper:
        try:
            yield
        finally:
            sweeper.kill()


SWEEPER = """
import time
from chimera.bootstrap import services
while True:
    services().judging.sweep.run()
    time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def got() -> Iterator[dict[str, str]]:
    """What the attacker got hold of, by attack."""
    if why := cannot_run():
        pytest.skip(why)
    _tidy()
    with running_servers() as servers, a_swarm_of(Pools, servers, 6) as swarm, ExitStack() as stack:
        stack.enter_context(_sweeping(swarm))
        workers = {who: stack.enter_context(swarm.own_worker(who)) for who in UIDS}
        swarm.run(swarm.victim, "attack.victims", secret=swarm.canary)
        scene = swarm.scene(workers["attacker"].pid)
        scene["pids"] += [workers["victim"].pid, *swarm.scene(workers["victim"].pid)["pids"]]
        answers = swarm.run(swarm.attacker, "attack.attacks", scene=scene)
        answers |= swarm.run(swarm.attacker, "attack.plants")
        swarm.run(swarm.victim, "attack.victims", secret=swarm.canary)
        answers |= swarm.run(swarm.attacker, "attack.harvests")
        _tidy()
        yield {name: what for name, answer in answers.items() if (what := swarm.got(answer))}


def _tidy() -> None:
    """What a victim leaves in everybody's folders would else be another user's, and not this one's to write."""
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        for pattern in ("note-of-a-victim", "stash-*"):
            for path in Path(folder).glob(pattern):
                path.unlink()


@pytest.mark.parametrize("attack", TABLE)
def test_code_of_a_tenant_with_its_own_logins_goes_for_another_s_canary(attack: str, got: dict[str, str]) -> None:
    assert attack not in got, got[attack]


def test_the_attacks_did_run(got: dict[str, str]) -> None:
    """What reaches a tenant's own workers does reach them."""
    assert {"signal_to_parent", "sockets_that_are_open"} <= got.keys()
