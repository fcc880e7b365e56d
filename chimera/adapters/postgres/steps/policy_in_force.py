"""The policy in force, as a transaction sees it."""

from functools import lru_cache

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import statements
from chimera.models.gate.floor import raised
from chimera.models.gate.policy import BUILT_IN, PolicyInForce, parse_policy, version_name, with_floor

_SQL = statements("policy_in_force")


def in_force(connection: psycopg.Connection[DictRow], tenant_id: str) -> PolicyInForce:
    """The policy that applies to a tenant, read in this transaction."""
    row = connection.execute(_SQL["in_force"], {"tenant": tenant_id}).fetchone()
    if row is None:
        return BUILT_IN
    own = _in_force(row["body"], row["number"], own=row["own"])
    if not own.own:
        return raised(own, own, tenant_id)
    if row["floor_body"] is None:
        return own
    return _raised(row["body"], own.number, row["floor_body"], row["floor_number"], tenant_id)


def version_in_force(connection: psycopg.Connection[DictRow], tenant_id: str) -> str:
    """How decisions name the policy that applies to a tenant."""
    row = connection.execute(_SQL["in_force_version"], {"tenant": tenant_id}).fetchone()
    if row is None:
        return BUILT_IN.version
    version = version_name(row["name"], row["number"], row["sha256"])
    if row["floor_number"] is None:
        return version
    return with_floor(version, version_name(row["floor_name"], row["floor_number"], row["floor_sha256"]))


@lru_cache(maxsize=1000)
def _in_force(body: str, number: int, *, own: bool) -> PolicyInForce:
    return PolicyInForce(policy=parse_policy(body), number=number, own=own)


@lru_cache(maxsize=1000)
def _raised(body: str, number: int, floor_body: str, floor_number: int, tenant_id: str) -> PolicyInForce:
    return raised(_in_force(body, number, own=True), _in_force(floor_body, floor_number, own=False), tenant_id)
