"""Levels of isolation: what a tenant's skill gets hold of, of another tenant whose skills the same worker runs."""

import pytest

from tests.attacks.skill_code.attacks_on_canary import ATTACKS, LEFTOVERS, PLANTS
from tests.attacks.skill_code.swarm import a_swarm, attack

TABLE = [*ATTACKS, *PLANTS, *LEFTOVERS]


@pytest.fixture(scope="module")
def got_from_host(servers: dict[str, str]) -> dict[str, str]:
    with a_swarm(servers, 6) as swarm:
        return attack(swarm, "host")


@pytest.fixture(scope="module")
def got_from_trusted(servers: dict[str, str]) -> dict[str, str]:
    with a_swarm(servers, 7) as swarm:
        return attack(swarm, "trusted")


@pytest.mark.parametrize("name", TABLE)
def test_a_skill_in_a_host_gets_nothing_of_another_tenant(got_from_host: dict[str, str], name: str) -> None:
    assert name not in got_from_host, got_from_host[name]


def test_the_same_attacks_work_where_skills_are_trusted(got_from_trusted: dict[str, str]) -> None:
    assert len(TABLE) >= 30
    assert len(got_from_trusted) >= 20, sorted(got_from_trusted)
