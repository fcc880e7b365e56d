"""What must hold of every database after every run, whatever struck it."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import dict_row

from chimera.adapters.postgres.database import read_statements
from chimera.models.audit.audit import GENESIS, chained
from chimera.models.record import Record, sha256


class Harm(StrEnum):
    """What a violation means."""

    LOST = "lost"  # acknowledged work that is not there, or has no end
    DUPLICATED = "duplicated"  # done twice
    UNFINISHED = "unfinished"  # still on its way
    BROKEN = "broken"  # there, once, and not as it must be


class Violation(Record):
    """One thing that does not hold."""

    invariant: str
    sentence: str
    harm: Harm
    tenant_id: str
    id: str
    what: str


class Invariant(Record):
    """What must hold, as a query for what does not."""

    name: str
    sentence: str
    harm: Harm
    sql: str


def _load() -> tuple[Invariant, ...]:
    found = []
    for name, comment, sql in read_statements("chimera.chaos", "invariants.sql"):
        sentence, _, harm = comment.partition(" class: ")
        found.append(Invariant(name=name, sentence=sentence, harm=Harm(harm), sql=sql))
    return tuple(found)


INVARIANTS = _load()
_CHAIN = "The audit is one chain without gaps, each entry's hash over the one before, and the head is its last."
_ENTRIES_AT_ONCE = 2000


def check(connection: psycopg.Connection[Any], tenants: Iterable[str]) -> list[Violation]:
    """What does not hold of these tenants.

    Args:
        connection: of the owner or of a superuser, with no transaction open.
        tenants: whose rows are looked at; of one, no other tenant's are seen.
    """
    found: list[Violation] = []
    for tenant in tenants:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select set_config('chimera.tenant', %s, true)", [tenant])
            for invariant in INVARIANTS:
                cursor.execute(invariant.sql, {"tenant": tenant})
                found += [_violation(invariant, tenant, row["id"], row["what"]) for row in cursor]
            found += _check_chain(cursor, tenant)
    return found


def _violation(invariant: Invariant, tenant: str, what_id: object, what: object) -> Violation:
    facts = invariant.model_dump(exclude={"name", "sql"})
    return Violation(invariant=invariant.name, tenant_id=tenant, id=str(what_id), what=str(what), **facts)


def _check_chain(cursor: psycopg.Cursor[dict[str, Any]], tenant: str) -> Iterator[Violation]:
    """The chain recomputed, from its first entry to its head."""
    chain = Invariant(name="audit_chain_broken", sentence=_CHAIN, harm=Harm.BROKEN, sql="")
    seq, previous = 0, GENESIS
    while True:
        cursor.execute(
            "select seq, hash, body, payload from audit where tenant_id = %s and seq > %s order by seq limit %s",
            [tenant, seq, _ENTRIES_AT_ONCE],
        )
        rows = cursor.fetchall()
        for row in rows:
            if row["seq"] != seq + 1 or bytes(row["hash"]) != chained(previous, row["body"]):
                yield _violation(chain, tenant, row["seq"], "its hash is not that of the chain so far and its body")
                return
            if row["payload"] is not None and sha256(row["payload"]).hex() not in row["body"]:
                yield _violation(chain, tenant, row["seq"], "its payload is not the one that its body names")
                return
            seq, previous = row["seq"], bytes(row["hash"])
        if not rows:
            break
    cursor.execute("select seq, hash from audit_head where tenant_id = %s", [tenant])
    head = cursor.fetchone()
    if head is not None and (head["seq"], bytes(head["hash"])) != (seq, previous):
        yield _violation(chain, tenant, head["seq"], f"the head is not the last entry, which is {seq}")
