"""Writing columns of vectors to Feast's Redis online store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis

from feast_bc.columns.arrays import Instants, Mask, RowNumbers
from feast_bc.columns.entity_keys import key_types, serialized_keys
from feast_bc.feast_internals import redis_client, stored_name
from feast_bc.online.ahead import ahead
from feast_bc.online.redis.commands import (
    SCRIPT,
    Deleted,
    Guard,
    HashFields,
    guarded,
    guarded_arguments,
    hdel,
    hset,
    hset_arguments,
)
from feast_bc.online.redis.exchange import Exchange
from feast_bc.online.redis.fields import view_fields
from feast_bc.online.request import Column
from feast_bc.online.writer import Decide, Known, ViewValues, update_as_read


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
        entities = self._entities(keys, values[0].view)
        client = redis_client(self._store, self._config)
        fields = [self._fields(each) for each in values if not each.absent]
        _store(client, entities, fields, self._ttl)
        for each in values:
            if each.absent:
                names = self._names(each.view)
                _delete(client, [entities[i] for i in each.rows.tolist()], names)

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        client = redis_client(self._store, self._config)
        _, field = self._names(known.view)
        entities = self._entities(keys, known.view)

        def write(column: Column, values: Sequence[ViewValues]) -> Mask:
            guard = Guard(field, [stored or b"" for stored in column])
            fields = [self._fields(each) for each in values if not each.absent]
            deleted = [(each.rows, self._names(each.view)) for each in values if each.absent]
            return _update(client, entities, guard, fields, deleted, self._ttl)

        update_as_read(len(keys), known, decide, write)

    @property
    def _ttl(self) -> int | None:
        return self._config.online_store.key_ttl_seconds or None

    def _entities(self, keys: pa.Table, view: FeatureView) -> list[bytes]:
        """The keys of the entities' hashes."""
        version = self._config.entity_key_serialization_version
        project = self._config.project.encode()
        return [key + project for key in serialized_keys(keys, key_types(view), version)]

    def _names(self, view: FeatureView) -> tuple[bytes, bytes]:
        return view_fields(stored_name(view, self._config), view.features[0].name)

    def _fields(self, each: ViewValues) -> HashFields:
        timestamp_field, value_field = self._names(each.view)
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


def _update(
    client: Any,
    entities: Sequence[bytes],
    guard: Guard,
    fields: Sequence[HashFields],
    deleted: Deleted,
    ttl: int | None,
) -> Mask:
    """Write what the guard lets through; shape `(n,)`: whom it did not let through."""
    refused = np.zeros(len(entities), bool)
    if not isinstance(client, Redis):
        with client.pipeline(transaction=False) as pipe:
            asked = []
            for row, arguments in guarded_arguments(entities, guard, fields, deleted, ttl):
                pipe.execute_command("EVAL", *arguments)
                asked.append(row)
            refused[asked] = [reply == 0 for reply in pipe.execute()]
        return refused
    script = str(client.script_load(SCRIPT)).encode()
    packed = guarded(entities, guard, fields, deleted, ttl, script)
    with Exchange(client) as exchange:
        for rows, commands in ahead(packed):
            replies = exchange.ask(commands.data, len(rows))
            refused[rows] = [reply == 0 for reply in replies]
    return refused


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
