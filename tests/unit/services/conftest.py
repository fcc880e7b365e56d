"""What the services' tests share."""

import pytest

from tests.unit.services.house import House


@pytest.fixture
def house() -> House:
    return House()
