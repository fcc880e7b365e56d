"""What is listed of a tenant that does not exist: nothing, and that is said."""

import pytest

from tests.unit.cli.conftest import Run

TENANT = ("-t", "acme")
JSON = ("-o", "json")


@pytest.mark.parametrize("noun", ["plan", "task", "review", "session", "state"])
def test_of_a_tenant_that_is_none_nothing_is_listed(noun: str, run: Run) -> None:
    assert run(noun, "list", *TENANT, *JSON).json == []
    for options in ((), JSON):
        ran = run(noun, "list", "-t", "acm", *options)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith("error: there is no tenant 'acm': add it with `chimera tenant add acm`\n")


def test_a_tenant_that_is_none_has_no_budget(run: Run) -> None:
    assert run("budget", "show", *TENANT).code == 0
    assert run("budget", "show", "-t", "acm").code == 3
