"""Who has the Judge's login, and would have the audit count as sealed where it is not."""

import psycopg
import pytest
from psycopg import errors

from tests.contract.direct import History, Session

FORGED = """
insert into audit_checkpoint (tenant_id, number, seq, entry_at, key_id, body, kept_at)
select tenant_id, {number}, {seq}, at, 'self-made', '{{}}', {kept} from audit order by seq desc limit 1
"""

# As the Judge does: what a checkpoint seals that every place keeps.
SEALED = "select coalesce(max(seq), 0) from audit_checkpoint where kept_at is not null"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(FORGED.format(number=2, seq="seq", kept="now()"), id="a forged checkpoint that seals the end"),
        pytest.param(FORGED.format(number=2, seq="1000000", kept="now()"), id="one that seals what is not there yet"),
        pytest.param(FORGED.format(number=1000000, seq="seq", kept="now()"), id="one above all that will come"),
        pytest.param(FORGED.format(number=3, seq="seq", kept="null") + " returning 1", id="one that was never kept"),
        pytest.param("update audit_checkpoint set kept_at = now()", id="one said to be kept that no place has"),
        pytest.param("update audit_checkpoint set kept_at = 'infinity'", id="one said to be kept for good"),
        pytest.param("update audit_checkpoint set kept_at = null", id="none said to be kept: nothing is decided"),
    ],
)
def test_the_judge_s_login_moves_what_is_sealed(session: Session, history: History, statement: str) -> None:
    with session("judge", history.tenant_id) as connection:
        before = connection.execute(SEALED).fetchone()
        changed = 0
        try:
            with connection.transaction():
                changed = connection.execute(statement.encode()).rowcount
        except psycopg.Error:
            pass
        assert changed == 0
        assert connection.execute(SEALED).fetchone() == before


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("select body from audit_checkpoint", id="what was signed"),
        pytest.param("select key_id from audit_checkpoint", id="by which key"),
        pytest.param(
            "select seq from audit_checkpoint where tenant_id = '{victim}'", id="another tenant's checkpoints"
        ),
        pytest.param(
            "select seq, hash from audit_head where tenant_id = '{victim}'", id="another tenant's audit's end"
        ),
    ],
)
def test_the_judge_s_login_reads_of_sealing_what_it_need_not(
    session: Session, history: History, other: str, statement: str
) -> None:
    rows: list[object] = []
    # As another tenant, and as the one whose it is.
    for tenant in (other, history.tenant_id) if "victim" not in statement else (other,):
        with session("judge", tenant) as connection:
            try:
                rows += connection.execute(statement.format(victim=history.tenant_id).encode()).fetchall()
            except errors.InsufficientPrivilege:
                continue
    assert rows == []
