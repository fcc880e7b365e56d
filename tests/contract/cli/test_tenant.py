"""`chimera tenant`."""

import pytest

from tests.unit.cli.conftest import Run

JSON = ("-o", "json")


class TestTenant:
    def test_add_and_list(self, run: Run) -> None:
        assert run("tenant", "add", "globex", "acme", *JSON).json == [
            {"tenant_id": "globex", "added": True},
            {"tenant_id": "acme", "added": False},
        ]
        assert "was there already" in run("tenant", "add", "acme").out
        assert [row["tenant_id"] for row in run("tenant", "list", *JSON).json] == ["acme", "globex"]
        assert len(run("tenant", "list", "--limit", "1", *JSON).json) == 1
        assert "acme" in run("tenant", "list").out
        assert run("tenant", "add", "Not This").code == 2

    @pytest.mark.parametrize("tenants", [[]])
    def test_none(self, run: Run) -> None:
        assert run("tenant", "list").err == "no tenants\n"
