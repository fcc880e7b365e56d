"""The command line in this process, over the database that all tests share: a reviewer's way in."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chimera import Success
from chimera.bootstrap import Services
from chimera.cli.review import review
from chimera.models.gate.policy import Policy, SkillPolicy
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec
from chimera.settings import Settings
from tests.conftest import new_tenant_id
from tests.contract.cli.conftest import DatabaseServices, close
from tests.unit.cli.conftest import Ran, Run, _plain_environment, run

__all__ = ["_plain_environment", "run"]

JSON = ("-o", "json")


def echo(text: str) -> Success[str]:
    return Success(text, confidence=0.4)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    skill = Skill(echo, name="echo", max_batch=10, timeout_seconds=5, max_attempts=1)

    def echoes(texts: list[str]) -> Iterator[TaskSpec]:
        yield from (skill.task(text=text) for text in texts)

    known = Catalogue()
    known.add_skill(skill)
    known.add_planner(Planner(echoes, name="echoes"))
    return known


@pytest.fixture(scope="session")
def services(servers: dict[str, str], catalogue: Catalogue) -> Iterator[Services]:
    named = {
        name.removeprefix("CHIMERA_").lower(): url for name, url in servers.items() if name.endswith("_DATABASE_URL")
    }
    settings = Settings.model_validate({name: url for name, url in named.items() if name in Settings.model_fields})
    services = DatabaseServices(settings, catalogue)
    yield services
    close(services.adapters)


@dataclass(frozen=True)
class Desk:
    """Where people review what a tenant's skill made."""

    run: Run
    tenant: str
    services: Services

    def __call__(self, *words: str) -> Ran:
        """Runs `chimera` with these words, for the tenant."""
        return self.run(*words, "-t", self.tenant)

    def card(self) -> dict[str, Any]:
        """The tenant's only card, with what it shows, as it is now."""
        [card] = self("review", "list", "--status", "all", *JSON).json
        shown: dict[str, Any] = self("review", "show", card["card_id"], *JSON).json
        return shown

    def seen(self) -> list[str]:
        """What names the card as it is now, where decisions name what was seen."""
        if "sha" not in inspect.signature(review.approve).parameters:
            return []
        card = self.card()
        return ["--version", str(card["version"]), "--sha", card["result_sha256"]]

    def entries(self) -> list[dict[str, Any]]:
        """The tenant's audit, as the store has it."""
        found = self.services.adapters.plans.entries(self.tenant, None, 0, 1000)
        return [{"kind": entry.kind, "actor": entry.actor, "facts": entry.facts or {}} for entry in found]

    def committed(self) -> bool:
        return any(entry["facts"].get("committed") for entry in self.entries())


@pytest.fixture
def desk_of(run: Run, services: Services) -> Callable[[int], Desk]:
    """Makes a tenant with one card that so many people must approve."""

    def made(quorum: int = 1) -> Desk:
        desk = Desk(run, new_tenant_id(), services)
        services.adapters.tenants.add(desk.tenant, "tests")
        if quorum > 1:
            policy = Policy(defaults=SkillPolicy(quorum=quorum))
            services.adapters.policy_changes.apply(desk.tenant, policy, "tests")
        desk("plan", "submit", "echoes", "--set", 'texts=["hello"]')
        assert desk.card()["status"] == "pending"
        return desk

    return made
