"""Writing columns of vectors to Feast's Redis online store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis

from feast_bc.activation import NEVER, Instants
from feast_bc.ahead import ahead
from feast_bc.entity_keys import key_types, serialized_keys
from feast_bc.online_writer import ViewValues
from feast_bc.redis_commands import HashFields, hmget, hset, hset_arguments
from feast_bc.redis_exchange import Exchange
from feast_bc.redis_fields import view_fields
from feast_bc.resolution import Winners
from feast_bc.vectors import Mask


class RedisWriter:
    """Writes all views of an entity with one HSET, in pipelines; newer stored values stay.

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
        client = self._store._get_client(options)
        version = self._config.entity_key_serialization_version
        project = self._config.project.encode()
        types = key_types(values[0].view)
        entities = [key + project for key in serialized_keys(keys, types, version)]
        if not options.skip_dedup:
            names = [self._field_names(each)[0] for each in values]
            stored = _micros(_timestamps(client, entities, names), len(names))
            values = [
                _only(each, each.instants > stored[each.rows, i]) for i, each in enumerate(values)
            ]
        fields = [self._fields(each) for each in values if len(each.rows)]
        _store(client, entities, fields, options.key_ttl_seconds or None)

    def _fields(self, each: ViewValues) -> HashFields:
        timestamp_field, value_field = self._field_names(each)
        timestamps, timestamp_of = _serialized(each.instants)
        return HashFields(
            timestamp_field=timestamp_field,
            value_field=value_field,
            rows=each.rows,
            timestamps=timestamps,
            timestamp_of=timestamp_of,
            vectors=each.vectors,
        )

    def _field_names(self, each: ViewValues) -> tuple[bytes, bytes]:
        versioning = self._config.registry.enable_online_feature_view_versioning
        return view_fields(compute_versioned_name(each.view, versioning), each.feature)


def _only(each: ViewValues, keep: Mask) -> ViewValues:
    if keep.all():
        return each
    vectors = None if each.vectors is None else each.vectors[keep]
    return replace(each, rows=each.rows[keep], instants=each.instants[keep], vectors=vectors)


def _timestamps(
    client: Any, entities: Sequence[bytes], fields: Sequence[bytes]
) -> list[list[bytes | None]]:
    """Per entity what stands in `fields`."""
    if not isinstance(client, Redis):  # a cluster: each entity has a node
        with client.pipeline(transaction=False) as pipe:
            for entity in entities:
                pipe.hmget(entity, list(fields))
            replies: list[list[bytes | None]] = pipe.execute()
        return replies
    with Exchange(client) as exchange:
        return exchange.ask(hmget(entities, fields), len(entities))


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


class _Micros(dict[bytes | None, int]):
    """Stored timestamps in microseconds, rounded down; what does not count as stored is NEVER."""

    def __missing__(self, stored: bytes | None) -> int:
        timestamp = Timestamp.FromString(stored or b"")
        nanos = timestamp.seconds * 1_000_000_000 + timestamp.nanos
        # Feast overwrites timestamps at or before the epoch.
        self[stored] = nanos // 1000 if nanos > 0 else NEVER
        return self[stored]


def _micros(replies: Sequence[Sequence[bytes | None]], fields: int) -> Instants:
    """The replies as one matrix of shape `(n, fields)`."""
    stored = map(_Micros().__getitem__, chain.from_iterable(replies))
    return np.fromiter(stored, np.int64, len(replies) * fields).reshape(-1, fields)


def _serialized(instants: Instants) -> tuple[list[bytes], Winners]:
    """The distinct timestamps as Feast stores them in Redis, and which of them each row has."""
    distinct, which = np.unique(instants, return_inverse=True)
    stored = []
    for micros in distinct.tolist():
        seconds, rest = divmod(micros, 1_000_000)
        stored.append(Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString())
    return stored, which
