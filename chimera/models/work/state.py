"""Shared state: what a tenant's tasks have agreed on, key by key and version by version."""

from typing import Any
from uuid import UUID

from pydantic import Field

from chimera.models.record import Instant, Record, TenantId


class StateEntry(Record):
    """An entry of shared state at one of its versions, with the commit that made it so."""

    tenant_id: TenantId
    key: str
    # None, too, where the value is left out because it is large.
    value: Any
    value_omitted: bool = False
    # The value was erased, and with it what its size was.
    erased: bool = False
    version: int = Field(ge=1)
    # The task whose output the value is, and who approved that: `policy`, or a person.
    plan_id: UUID
    task_id: UUID
    attempt: int = Field(ge=1)
    decided_by: str
    committed_at: Instant
    # SHA-256 of the result that was committed, in hex, as its decision and the audit name it; and its size in bytes.
    result_sha256: str
    result_size: int = Field(ge=0)
