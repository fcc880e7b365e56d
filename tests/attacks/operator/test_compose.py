"""Who administers the database of a deployment by docker-compose.yml, and cuts its audit off."""

from pathlib import Path
from typing import Any

import yaml

import chimera.errors

COMPOSE: dict[str, Any] = yaml.safe_load((Path(chimera.errors.__file__).parents[1] / "docker-compose.yml").read_text())


def test_nothing_outside_of_the_database_knows_better() -> None:
    keeps = [each for each in COMPOSE["services"].values() if "CHIMERA_CHECKPOINTS" in each.get("environment", {})]
    assert len(keeps) == 1


def test_the_judge_decides_though_nobody_seals() -> None:
    assert "CHIMERA_SEALED_WITHIN_SECONDS" in COMPOSE["services"]["judge"]["environment"]
