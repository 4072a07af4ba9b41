"""The repo configuration that Feast's suite reads: which stores its tests run over.

Feast's suite imports this as its `FULL_REPO_CONFIGS_MODULE`. `certification.suite` says by the
environment which pair of stores to take, and at which address a Redis is.
"""

from __future__ import annotations

import os
from typing import Any

from tests.universal.feature_repos.duckdb_repo_configuration import DuckDBDataSourceCreator
from tests.universal.feature_repos.universal.data_sources.file import FileDataSourceCreator
from tests.universal.feature_repos.universal.online_store import redis
from tests.universal.feature_repos.universal.online_store_creator import OnlineStoreCreator

OFFLINE_STORE, ONLINE_STORE = "CERTIFICATION_OFFLINE_STORE", "CERTIFICATION_ONLINE_STORE"
REDIS_ADDRESS = "CERTIFICATION_REDIS"
"""Names of environment variables."""

REDIS = {"type": "redis", "connection_string": f"{os.environ[REDIS_ADDRESS]},db=0"}


class RunningRedis(OnlineStoreCreator):  # type: ignore[misc]
    """The Redis that runs already, for tests that would start one in a container."""

    def create_online_store(self) -> dict[str, Any]:
        return dict(REDIS)

    def teardown(self) -> None:
        """Leave the server to who started it; projects have names of their own."""


# Spark's tests name their store themselves.
redis.RedisOnlineStoreCreator = RunningRedis

OFFLINE = {"dask": FileDataSourceCreator, "duckdb": DuckDBDataSourceCreator}
ONLINE = {"sqlite": {"type": "sqlite"}, "redis": REDIS}

AVAILABLE_OFFLINE_STORES = [("local", OFFLINE[os.environ[OFFLINE_STORE]])]
AVAILABLE_ONLINE_STORES = {
    os.environ[ONLINE_STORE]: (ONLINE[os.environ[ONLINE_STORE]], None),
}
