"""Writing columns of vectors to Feast's Redis online store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis

from feast_bc.columns.arrays import Instants, RowNumbers
from feast_bc.columns.entity_keys import key_types, serialized_keys
from feast_bc.feast_internals import redis_client, stored_name
from feast_bc.online.ahead import ahead
from feast_bc.online.redis.commands import HashFields, hdel, hset, hset_arguments
from feast_bc.online.redis.exchange import Exchange
from feast_bc.online.redis.fields import view_fields
from feast_bc.online.writer import ViewValues


class RedisWriter:
    """Writes all views of an entity with one HSET, in pipelines.

    Views that nobody but feast-bc reads have no timestamp: a field costs a hash some 90 bytes.

    Feast's own writer keeps a stored row with a newer timestamp. Here the caller has decided what
    stands: a rollback brings back older rows.

    Args:
        store: the online store; its own client is used.
        config: the feature repo's configuration.
    """

    def __init__(self, store: RedisOnlineStore, config: RepoConfig) -> None:
        self._store = store
        self._config = config

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if not values:
            return
        options = self._config.online_store
        version = self._config.entity_key_serialization_version
        project = self._config.project.encode()
        types = key_types(values[0].view)
        entities = [key + project for key in serialized_keys(keys, types, version)]
        client = redis_client(self._store, self._config)
        fields = [self._fields(each) for each in values if not each.absent]
        _store(client, entities, fields, options.key_ttl_seconds or None)
        for each in values:
            if each.absent:
                names = view_fields(stored_name(each.view, self._config), each.feature)
                _delete(client, [entities[i] for i in each.rows.tolist()], names)

    def _fields(self, each: ViewValues) -> HashFields:
        timestamp_field, value_field = view_fields(
            stored_name(each.view, self._config), each.feature
        )
        timestamps, timestamp_of = _serialized(each.instants)
        return HashFields(
            timestamp_field=None if each.private else timestamp_field,
            value_field=value_field,
            rows=each.rows,
            timestamps=timestamps,
            timestamp_of=timestamp_of,
            stored=each.stored,
        )


def _store(
    client: Any, entities: Sequence[bytes], fields: Sequence[HashFields], ttl: int | None
) -> None:
    if not isinstance(client, Redis):
        with client.pipeline(transaction=False) as pipe:
            for entity, pairs in hset_arguments(entities, fields):
                pipe.execute_command("HSET", entity, *pairs)
                if ttl is not None:
                    pipe.expire(entity, ttl)
            pipe.execute()
        return
    with Exchange(client) as exchange:
        for count, commands in ahead(hset(entities, fields, ttl)):
            exchange.ask(commands.data, count)


def _delete(client: Any, entities: Sequence[bytes], fields: Sequence[bytes]) -> None:
    if not isinstance(client, Redis):
        with client.pipeline(transaction=False) as pipe:
            for entity in entities:
                pipe.hdel(entity, *fields)
            pipe.execute()
        return
    with Exchange(client) as exchange:
        for count, commands in hdel(entities, fields):
            exchange.ask(commands.data, count)


def _serialized(instants: Instants) -> tuple[list[bytes], RowNumbers]:
    """The distinct timestamps as Feast stores them in Redis, and which of them each row has."""
    distinct, which = np.unique(instants, return_inverse=True)
    stored = []
    for micros in distinct.tolist():
        seconds, rest = divmod(micros, 1_000_000)
        stored.append(Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString())
    return stored, which
