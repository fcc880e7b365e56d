"""An audit that does not go on goes on after a repair, and what was wrong with it stays to be seen."""

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.adapters.postgres.stores.repair_store import RepairStore
from chimera.errors import AuditContradicted, UnknownTenant
from chimera.services.audit_proof import AuditProof, Report
from tests.contract.scene import Scene

FORGED = """insert into audit (tenant_id, seq, at, kind, actor, body, payload, hash)
    select tenant_id, seq + 1, {at}, 'plan.cancelled', 'eve', '{{}}', '{{}}', {hash} from audit_head
     where tenant_id = %(tenant)s"""
# What a login could do before, and what verifying says of it.
LEFT = {
    "a random hash": (FORGED.format(at="now()", hash="sha256('eve')"), "its text is not that of an entry"),
    "the end of time": (FORGED.format(at="'infinity'", hash="sha256('eve')"), "its text is not that of an entry"),
    "2200": (FORGED.format(at="'2200-01-01'", hash="sha256('eve')"), "its text is not that of an entry"),
    "a moved head": ("update audit_head set seq = seq + 5 where tenant_id = %(tenant)s", "is said to end"),
    "another head": ("update audit_head set hash = sha256('') where tenant_id = %(tenant)s", "is said to end"),
}


@pytest.fixture
def superuser(servers: dict[str, str], real_scene: Scene) -> Callable[[str], int]:
    """Runs a statement as whoever no trigger stops, but for those that keep the chain."""

    def run(statement: str) -> int:
        with psycopg.connect(servers["SUPERUSER_DATABASE_URL"]) as connection:
            if not statement.startswith("insert"):
                connection.execute("set session_replication_role = replica")
            return connection.execute(statement.encode(), {"tenant": real_scene.tenant_id}).rowcount

    return run


@pytest.fixture
def repairs(owner_database: Database) -> RepairStore:
    return RepairStore(owner_database)


@pytest.fixture
def verified(real_scene: Scene, app_database: Database) -> Callable[[], Report]:
    return lambda: AuditProof(AuditLog(app_database), None).verify(real_scene.tenant_id, [], datetime.now(UTC))


@pytest.mark.parametrize("what", LEFT)
def test_it_goes_on_and_says_what_was_wrong(
    real_scene: Scene,
    superuser: Callable[[str], int],
    repairs: RepairStore,
    verified: Callable[[], Report],
    what: str,
) -> None:
    statement, said = LEFT[what]
    real_scene.plan(1)
    last = real_scene.entries()[-1].seq
    assert superuser(statement) == 1
    before = verified()
    assert not before.ok
    assert any(said in fault.what for fault in before.faults)

    repaired = repairs.repair(real_scene.tenant_id, "ann", "a stolen login")
    after = verified()
    assert (after.ok, after.faults) == (True, ())
    assert [fault.seq for fault in after.explained] == [row.seq for row in repaired.rows]
    assert repaired.ends.seq == last + len(repaired.rows)
    [entry] = [entry for entry in real_scene.entries() if entry.kind == "audit.repaired"]
    assert entry.facts is not None
    assert (entry.actor, entry.facts["reason"]) == ("ann", "a stolen login")
    assert entry.at <= datetime.now(UTC)

    real_scene.plan(1)  # it goes on
    assert verified().ok
    assert repairs.repair(real_scene.tenant_id, "ann", "again").nothing


def test_what_is_named_is_what_was_found_and_no_more(
    real_scene: Scene, superuser: Callable[[str], int], repairs: RepairStore, verified: Callable[[], Report]
) -> None:
    superuser(LEFT["a random hash"][0])
    repairs.repair(real_scene.tenant_id, "ann", "a stolen login")
    superuser("update audit set actor = 'mallory' where tenant_id = %(tenant)s and actor = 'eve'")
    assert not verified().ok
    superuser("update audit set actor = 'eve' where tenant_id = %(tenant)s and actor = 'mallory'")
    assert verified().ok
    # The record of the repair is an entry like others.
    superuser("update audit set payload = '{}' where tenant_id = %(tenant)s and kind = 'audit.repaired'")
    assert not verified().ok


def test_what_is_missing_is_not_mended(
    real_scene: Scene, superuser: Callable[[str], int], repairs: RepairStore
) -> None:
    real_scene.plan(1)
    assert superuser("delete from audit where tenant_id = %(tenant)s and seq = 1") == 1
    with pytest.raises(AuditContradicted, match="restore a backup"):
        repairs.repair(real_scene.tenant_id, "ann", "why not")


def test_nothing_wrong_is_nothing_recorded(real_scene: Scene, repairs: RepairStore) -> None:
    real_scene.plan(1)
    count = len(real_scene.entries())
    assert repairs.repair(real_scene.tenant_id, "ann", "to see").nothing
    assert len(real_scene.entries()) == count
    with pytest.raises(UnknownTenant):
        repairs.repair("nobody", "ann", "to see")
