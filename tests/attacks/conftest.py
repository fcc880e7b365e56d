"""Attacks: each does to a real database, broker or swarm what somebody could, by who it is, and sees what came of it.

A folder for each adversary: a tenant's skill code, a tenant's input, who reaches the broker, who has one login, a
reviewer, the operator. docs/security-model.md names the test for each adversary and asset.
"""

from tests.contract.conftest import history, other, postgres_world, real_scene, session

__all__ = ["history", "other", "postgres_world", "real_scene", "session"]
