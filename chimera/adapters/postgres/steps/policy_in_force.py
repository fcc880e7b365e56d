"""The policy in force, as a transaction sees it."""

from functools import lru_cache

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import statements
from chimera.models.gate.policy import BUILT_IN, PolicyInForce, parse_policy, version_name

_SQL = statements("policy_in_force")


def in_force(connection: psycopg.Connection[DictRow], tenant_id: str) -> PolicyInForce:
    """The policy that applies to a tenant, read in this transaction."""
    row = connection.execute(_SQL["in_force"], {"tenant": tenant_id}).fetchone()
    return _in_force(row["body"], row["number"], row["own"]) if row else BUILT_IN


def version_in_force(connection: psycopg.Connection[DictRow], tenant_id: str) -> str:
    """How decisions name the policy that applies to a tenant."""
    row = connection.execute(_SQL["in_force_version"], {"tenant": tenant_id}).fetchone()
    return version_name(row["name"], row["number"], row["sha256"]) if row else BUILT_IN.version


@lru_cache(maxsize=1000)
def _in_force(body: str, number: int, own: bool) -> PolicyInForce:
    return PolicyInForce(policy=parse_policy(body), number=number, own=own)
