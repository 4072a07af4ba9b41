"""Which writer serves an online store."""

from __future__ import annotations

from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.repo_config import RepoConfig

from feast_bc.online.readers import is_redis
from feast_bc.online.sqlite.writer import SqliteWriter
from feast_bc.online.writer import FeastWriter, OnlineWriter


def writer_for(store: OnlineStore, config: RepoConfig) -> OnlineWriter:
    """The fastest writer that stores what Feast would store."""
    if isinstance(store, SqliteOnlineStore) and SqliteWriter.supports(config):
        return SqliteWriter(store, config)
    if is_redis(store):
        from feast_bc.online.redis.writer import RedisWriter

        return RedisWriter(store, config)
    return FeastWriter(store, config)
