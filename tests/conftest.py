"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from benchmarks import postgres_server
from benchmarks.redis_server import RedisServer
from tests.support.online_stores import redis_client

settings.register_profile(
    "default",
    deadline=None,  # the machine may be busy; nothing here is a test of time
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
settings.load_profile("default")


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """Where a real Redis is, as Feast writes it: at REDIS_URL if set, else a server of our own.

    Tests empty the database. Of a server that they share, every pytest-xdist worker uses another.
    """
    if url := os.environ.get("REDIS_URL"):
        parsed = urlparse(url)
        number = 0 if worker_id == "master" else int(worker_id.removeprefix("gw"))
        yield f"{parsed.hostname}:{parsed.port or 6379},db={number}"
        return
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.address


@pytest.fixture
def redis_store(redis_address: str) -> dict[str, object]:
    """Feast's configuration of the Redis online store, over an empty database."""
    with redis_client(redis_address) as client:
        client.flushdb()
    return {"type": "redis", "connection_string": redis_address}


@pytest.fixture(params=["sqlite", "redis"])
def online_store(request: pytest.FixtureRequest) -> dict[str, object] | None:
    """Feast's configuration of Redis; None for its default, SQLite."""
    return request.getfixturevalue("redis_store") if request.param == "redis" else None


@pytest.fixture(scope="session")
def postgres_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Feast's settings for a connection to a real PostgreSQL server, of this worker alone."""
    with postgres_server.postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres(postgres_address: dict[str, Any]) -> dict[str, Any]:
    """The same settings, over an empty database."""
    postgres_server.empty(postgres_address)
    return postgres_address


@pytest.fixture(scope="session")
def aws_address() -> Iterator[str]:
    """Where a server of DynamoDB is."""
    from tests.support.aws_server import aws_server

    with aws_server(threaded=True) as url:
        yield url


@pytest.fixture
def dynamodb(aws_address: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Feast's configuration of the DynamoDB online store, with tables of their own."""
    from tests.support.aws_server import CREDENTIALS

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return {
        "type": "dynamodb",
        "region": CREDENTIALS["AWS_DEFAULT_REGION"],
        "endpoint_url": aws_address,
        "table_name_template": f"{uuid4().hex}.{{project}}.{{table_name}}",
    }
