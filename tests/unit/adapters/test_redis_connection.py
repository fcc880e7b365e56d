"""The servers that a Celery broker URL names."""

from typing import Any

import pytest

from chimera.adapters.redis.connection import TIMEOUT_SECONDS, connect
from chimera.errors import SettingsMissing


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pw@a:7000/3", {"host": "a", "port": 7000, "db": 3, "password": "pw"}),
        ("redis://a:7000/3;redis://b:7001/3", {"host": "a", "port": 7000, "db": 3}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("redis+socket:///run/redis.sock?virtual_host=2", {"path": "/run/redis.sock", "db": 2}),
    ],
)
def test_a_url_names_a_server(url: str, expected: dict[str, Any]) -> None:
    with connect(url, {}) as client:
        known = client.connection_pool.connection_kwargs
    assert {name: known[name] for name in expected} == expected
    assert known["socket_timeout"] == known["socket_connect_timeout"] == TIMEOUT_SECONDS


def test_sentinels_name_a_master() -> None:
    url = "sentinel://:pw@a:26379/2;sentinel://b:26380/2"
    with connect(url, {"master_name": "main"}) as client:
        pool = client.connection_pool
    sentinels = [each.connection_pool.connection_kwargs["host"] for each in pool.sentinel_manager.sentinels]
    assert (pool.service_name, sentinels) == ("main", ["a", "b"])
    assert (pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (2, "pw")


def test_sentinels_without_a_master_s_name_are_refused() -> None:
    with pytest.raises(SettingsMissing, match="master_name"):
        connect("sentinel://a:26379", {})
