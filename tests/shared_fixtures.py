"""A fixture that tests share and that fails ends the run: each of them would only say so again."""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    try:
        return (yield)
    except (Exception, pytest.fail.Exception) as exc:
        if fixturedef.scope != "function" and not request.session.shouldfail:
            why = f"{type(exc).__name__}: {exc}".partition("\n")[0]
            request.session.shouldfail = f"the {fixturedef.scope}'s fixture {fixturedef.argname} failed: {why}"
        raise
