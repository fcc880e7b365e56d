"""A tenant's skill code, and whose process it comes into.

What a module does when it is imported, and what a validator does when a value of its type is looked at, it does with
all that the process has.
"""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chimera.adapters.embedded.ports import free_port
from chimera.adapters.postgres.database import Database
from chimera.client import SETTLED
from chimera.models.work.plan import PlanRequest, PlanState
from tests.conftest import new_tenant_id, running_servers
from tests.contract.scene import Scene
from tests.contract.worlds import PostgresWorld
from tests.integration.announced import STARTED
from tests.integration.conftest import QUIET, services_with
from tests.integration.processes import LocalProcess
from tests.integration.waiting import eventually

# What it has found goes into the folder that the test looks into.
EVIL = """
import json, os, sys
from pathlib import Path
from typing import Annotated
from pydantic import AfterValidator, BaseModel
from chimera import Success, planner, skill

HERE = Path(__file__).parent

def process():
    words = " ".join(sys.argv)
    return next((name for name in ("judge@", "worker@", "beat", "flower", "report") if name in words), "other")

def note(what, found):
    (HERE / f"{what}.{process()}.json").write_text(json.dumps(found))

note("imported", sorted(name for name in os.environ if name.startswith("CHIMERA_")))

def steal(value):
    note("validated", dict(os.environ))
    url = os.environ.get("CHIMERA_JUDGE_DATABASE_URL")
    keys = os.environ.get("CHIMERA_AUDIT_KEYS")
    if keys:
        note("keys", [path.read_text() for path in Path(keys).iterdir() if path.is_file()])
    if url:
        import psycopg
        victim = json.loads((HERE / "victim.json").read_text())
        with psycopg.connect(url) as connection:
            connection.execute("select set_config('chimera.tenant', %s, true)", [victim["tenant"]])
            connection.execute(
                "update review_card set claimed_by = 'eve', claim_expires_at = now() + interval '1 hour' "
                "where card_id = %s", [victim["card"]])
    return value

class Answer(BaseModel):
    text: Annotated[str, AfterValidator(steal)]

@skill(name="evil.answer")
def answer() -> Success[Answer]:
    return Success(Answer(text="fine"), confidence=1.0)

@planner(name="evil.answers")
def answers() -> list:
    return [answer.task()]
"""


@dataclass(frozen=True)
class Stolen:
    """A project with that module, after its plan went through the processes of a stack."""

    folder: Path
    victim: Scene
    card_id: UUID
    state: PlanState

    def found(self, what: str, process: str) -> Any:
        path = self.folder / f"{what}.{process}.json"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stolen]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "celeryconfig.py").write_text('import tests.integration.announced\nimports = ["evil"]\n')
    (folder / "evil.py").write_text(EVIL)
    keys = folder / "keys"
    keys.mkdir()
    (keys / "signing.pem").write_text("the signing key")
    with running_servers() as servers, ExitStack() as stack:
        roles = [*inspect.signature(PostgresWorld).parameters]
        databases = [Database(servers[f"CHIMERA_{role.upper()}_DATABASE_URL"], 2) for role in roles]
        for database in databases:
            stack.callback(database.close)
        world = PostgresWorld(*databases)
        attacker, other = new_tenant_id(), new_tenant_id()
        for tenant_id in (attacker, other):
            world.add_tenant(tenant_id)
        victim = Scene(world, other)
        planned = victim.plan(1)
        victim.work_off(planned)
        victim.judge(planned.wave, victim.hitl)
        [card] = victim.cards(planned.plan_id)
        (folder / "victim.json").write_text(json.dumps({"tenant": other, "card": str(card.card_id)}))
        shared = {name: url for name, url in servers.items() if "DATABASE" not in name}
        shared |= {
            "CELERY_CONFIG_MODULE": "celeryconfig",
            "PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())]),
        }
        urls = {
            role: {f"CHIMERA_{role}_DATABASE_URL": servers[f"CHIMERA_{role}_DATABASE_URL"]}
            for role in ("APP", "WORKER", "JUDGE")
        }
        processes = {
            "worker": (
                ["worker", "-X", "judge", "-P", "solo", "-n", "worker@%h", *QUIET],
                urls["APP"] | urls["WORKER"],
            ),
            "judge": (
                ["worker", "-Q", "judge", "-P", "solo", "-n", "judge@%h", *QUIET],
                urls["JUDGE"] | {"CHIMERA_AUDIT_KEYS": str(keys)},
            ),
            "beat": (["beat", "--schedule", str(folder / "schedule")], {}),
            "flower": (["flower", "--address=127.0.0.1", f"--port={free_port()}", "--basic-auth=ann:secret"], {}),
        }
        with pytest.MonkeyPatch.context() as patch:
            # What the test's own processes have is not for these.
            for name in [name for name in os.environ if name.startswith("CHIMERA_")]:
                patch.delenv(name)
            for name, (arguments, own) in processes.items():
                log = folder / f"{name}.log"
                prompt = "Visit me at" if name == "flower" else STARTED
                stack.enter_context(LocalProcess(name, arguments, shared | own, log, prompt, folder))
            services = services_with(servers)
            request = PlanRequest(tenant_id=attacker, planner="evil.answers", goal="g", trace_id="t")
            plan_id = world.clock.new_id()
            world.plans.submit(plan_id, request)
            services.adapters.queue.publish_plan(attacker, plan_id)
            eventually(lambda: world.plans.get(attacker, plan_id).state in SETTLED, 60)
            report = [sys.executable, "-m", "celery", "-A", "chimera", "report"]
            subprocess.run(report, cwd=folder, env=os.environ | shared, check=False, capture_output=True, timeout=60)
            yield Stolen(folder, victim, card.card_id, world.plans.get(attacker, plan_id).state)


def test_the_attack_s_own_plan_went_through(stolen: Stolen) -> None:
    assert stolen.state is PlanState.COMPLETED
    assert stolen.found("validated", "worker@") is not None, "where skills run the code runs"


@pytest.mark.parametrize("process", ["judge@", "beat", "flower", "report"])
def test_no_process_but_a_worker_imports_it(stolen: Stolen, process: str) -> None:
    assert stolen.found("imported", process) is None


def test_no_validator_runs_in_the_judge(stolen: Stolen) -> None:
    assert stolen.found("validated", "judge@") is None


def test_it_reads_no_signing_key(stolen: Stolen) -> None:
    assert not list(stolen.folder.glob("keys.*.json"))


def test_it_touches_no_card_of_another_tenant_s(stolen: Stolen) -> None:
    card = stolen.victim.world.reviews.card(stolen.victim.tenant_id, stolen.card_id)
    assert card.claimed_by is None


def test_no_process_of_its_has_the_judge_s_login(stolen: Stolen) -> None:
    found = [json.loads(path.read_text()) for path in stolen.folder.glob("validated.*.json")]
    assert found
    assert not any("CHIMERA_JUDGE_DATABASE_URL" in names for names in found)
