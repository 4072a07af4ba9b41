"""Real Redis servers of the kinds that Feast knows beside the plain one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks.redis_server import RedisServer

Running = tuple[RedisServer, dict[str, object]]
"""The server that holds the data, and Feast's configuration of the online store."""


@contextmanager
def redis_cluster(folder: Path) -> Iterator[Running]:
    """A cluster of one node."""
    with RedisServer(folder, "--cluster-enabled", "yes") as server:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            _wait(client)
        yield (
            server,
            {
                "type": "redis",
                "redis_type": "redis_cluster",
                "connection_string": server.address,
            },
        )


@contextmanager
def redis_sentinel(folder: Path) -> Iterator[Running]:
    """A master, and a sentinel that knows it."""
    with RedisServer(folder) as server:
        config = folder / "sentinel.conf"
        config.write_text(f"sentinel monitor mymaster 127.0.0.1 {server.port} 1\n")
        with RedisServer(folder, config=config, sentinel=True) as sentinel:
            yield (
                server,
                {
                    "type": "redis",
                    "redis_type": "redis_sentinel",
                    "connection_string": sentinel.address,
                },
            )


def _wait(client: redis.Redis) -> None:
    for _ in range(200):
        if client.execute_command("CLUSTER INFO")["cluster_state"] == "ok":  # type: ignore[no-untyped-call]
            return
        time.sleep(0.05)
    raise AssertionError("the cluster does not form")
