"""Which writer serves an online store."""

from __future__ import annotations

from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.repo_config import RepoConfig

from feast_bc.online_writer import FeastWriter, OnlineWriter
from feast_bc.readers import is_redis
from feast_bc.sqlite_writer import SqliteWriter


def writer_for(store: OnlineStore, config: RepoConfig) -> OnlineWriter:
    """The fastest writer that stores what Feast would store."""
    if isinstance(store, SqliteOnlineStore) and SqliteWriter.supports(config):
        return SqliteWriter(store, config)
    if is_redis(store):
        from feast_bc.redis_writer import RedisWriter

        return RedisWriter(store, config)
    return FeastWriter(store, config)
