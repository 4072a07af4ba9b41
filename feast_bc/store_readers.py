"""Where stored rows are read from: Redis and SQLite directly, other stores through Feast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp

from feast_bc.activation import NEVER, to_micros
from feast_bc.source import native_name
from feast_bc.stored_rows import Request, StoredRows, Wanted, take
from feast_bc.stored_views import native_view

# Keys in one SQLite query; its default limit is 32,766 parameters.
_SQLITE_KEYS = 10_000


class StoreReader:
    """Reads the rows of a version view's stored views through the store's own `online_read`.

    Args:
        store: the online store.
        config: the store's configuration.
        view: the version view.
        keys: the `n` entities; their protos here, serialized keys in the direct readers.
    """

    def __init__(
        self, store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[Any]
    ) -> None:
        self.store = store
        self.config = config
        self.view = view
        self.keys = keys
        (self.feature,) = (field.name for field in view.features)

    def read(self, request: Request) -> list[StoredRows]:
        keys = list(take(self.keys, request.positions))
        return [
            self._rows(self.store.online_read(self.config, self._view(w), keys, [self.feature]))
            for w in request.wanted
        ]

    async def read_async(self, request: Request) -> list[StoredRows]:
        keys = list(take(self.keys, request.positions))
        return [
            self._rows(
                await self.store.online_read_async(self.config, self._view(w), keys, [self.feature])
            )
            for w in request.wanted
        ]

    def _view(self, wanted: Wanted) -> FeatureView:
        return self.view if wanted.version is None else native_view(self.view, wanted.version)

    def _rows(self, rows: Sequence[tuple[datetime | None, dict[str, ValueProto] | None]]) -> Any:
        instants = np.full(len(rows), NEVER, np.int64)
        values: list[bytes | None] = [None] * len(rows)
        for i, (instant, features) in enumerate(rows):
            if instant is not None and features is not None and self.feature in features:
                instants[i] = to_micros(_aware(instant))
                values[i] = features[self.feature].SerializeToString()
        return StoredRows(instants, values)

    def name(self, wanted: Wanted) -> str:
        """Under which name a stored view's rows stand."""
        if wanted.version is not None:
            return native_name(self.view.batch_source.embedding, wanted.version)
        versioning = self.config.registry.enable_online_feature_view_versioning
        name: str = compute_versioned_name(self.view, versioning)
        return name


class RedisReader(StoreReader):
    """One HMGET per entity, all in one pipeline: an entity's versions share one Redis hash."""

    def read(self, request: Request) -> list[StoredRows]:
        return self.rows(request, self.store._read_hash_fields(self.config, self.commands(request)))

    async def read_async(self, request: Request) -> list[StoredRows]:
        return self.rows(
            request, await hmget_async(self.store, self.config, self.commands(request))
        )

    def commands(self, request: Request) -> list[tuple[bytes, list[str | bytes]]]:
        """The key and fields of each HMGET."""
        fields: list[str | bytes] = []
        for wanted in request.wanted:
            name = self.name(wanted)
            fields.append(f"_ts:{name}")
            if wanted.value:
                fields.append(_mmh3(f"{name}:{self.feature}"))
        return [(key, fields) for key in take(self.keys, request.positions)]

    def rows(self, request: Request, replies: Sequence[Sequence[bytes | None]]) -> list[StoredRows]:
        """The replies to `commands` as columns."""
        columns = iter(zip(*replies, strict=True) if replies else ())
        nothing: tuple[bytes | None, ...] = (None,) * len(replies)
        instants: dict[bytes | None, int] = {None: NEVER}
        rows = []
        for wanted in request.wanted:
            stamps = next(columns, ())
            for stamp in set(stamps):
                if stamp is not None and stamp not in instants:
                    instants[stamp] = Timestamp.FromString(stamp).ToMicroseconds()
            column = np.array([instants[stamp] for stamp in stamps], np.int64)
            rows.append(StoredRows(column, next(columns, ()) if wanted.value else nothing))
        return rows


class SQLiteReader(StoreReader):
    """One query over the tables of all wanted views."""

    def read(self, request: Request) -> list[StoredRows]:
        keys = take(self.keys, request.positions)
        found: list[dict[bytes, tuple[int, bytes | None]]] = [{} for _ in request.wanted]
        connection = self.store._get_conn(self.config)
        for start in range(0, len(keys), _SQLITE_KEYS):
            some = keys[start : start + _SQLITE_KEYS]
            # Numbered parameters: every table is asked for the same keys.
            places = ",".join(f"?{i}" for i in range(2, len(some) + 2))
            query = " UNION ALL ".join(
                f"SELECT {i}, entity_key, {'value' if wanted.value else 'NULL'}, "  # noqa: S608
                f"CAST(event_ts AS INTEGER) FROM {self._table(wanted)} "
                f"WHERE feature_name = ?1 AND entity_key IN ({places})"
                for i, wanted in enumerate(request.wanted)
            )
            for i, key, value, stamp in connection.execute(query, [self.feature, *some]):
                found[i][key] = (stamp, value)
        return [self._aligned(rows, keys) for rows in found]

    async def read_async(self, request: Request) -> list[StoredRows]:
        return self.read(request)  # the store is in this process

    def _aligned(
        self, found: dict[bytes, tuple[int, bytes | None]], keys: Sequence[bytes]
    ) -> StoredRows:
        instants = {stamp: _from_sqlite(stamp) for stamp in {stamp for stamp, _ in found.values()}}
        rows = [found.get(key) for key in keys]
        return StoredRows(
            np.array([NEVER if row is None else instants[row[0]] for row in rows], np.int64),
            [None if row is None else row[1] for row in rows],
        )

    def _table(self, wanted: Wanted) -> str:
        name = f"{self.config.project}_{self.name(wanted)}".replace('"', '""')
        return f'"{name}"'


def reader(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[EntityKeyProto]
) -> StoreReader:
    """The reader for a store, over the given entities."""
    kind = reader_class(store)
    if kind is StoreReader:
        return kind(store, config, view, keys)
    version = config.entity_key_serialization_version
    serialized = [
        serialize_entity_key(key, entity_key_serialization_version=version) for key in keys
    ]
    return kind(store, config, view, stored_keys(kind, config, serialized))


def reader_class(store: OnlineStore) -> type[StoreReader]:
    """Which reader suits a store."""
    if is_redis(type(store)):
        return RedisReader
    if _inherits(type(store), "SqliteOnlineStore"):
        return SQLiteReader
    return StoreReader


def stored_keys(
    kind: type[StoreReader], config: RepoConfig, serialized: Sequence[bytes]
) -> Sequence[bytes]:
    """Serialized entity keys as a direct reader wants them."""
    if kind is not RedisReader:
        return serialized
    project = config.project.encode()
    return [key + project for key in serialized]


def is_redis(store: type[OnlineStore]) -> bool:
    """Whether a class is Feast's Redis store, which may not be installed."""
    return _inherits(store, "RedisOnlineStore")


async def hmget_async(
    store: Any, config: RepoConfig, commands: Sequence[tuple[bytes, list[str | bytes]]]
) -> list[list[bytes | None]]:
    """The async twin of `RedisOnlineStore._read_hash_fields`."""
    client = await store._get_client_async(config.online_store)
    async with client.pipeline(transaction=False) as pipe:
        for key, fields in commands:
            pipe.hmget(key, fields)
        replies: list[list[bytes | None]] = await pipe.execute()
    return replies


def _inherits(store: type[OnlineStore], name: str) -> bool:
    return any(cls.__name__ == name for cls in store.__mro__)


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def _from_sqlite(stamp: int) -> int:
    """Feast writes UTC without a time zone, and Python's adapter takes that for local time."""
    return to_micros(datetime.fromtimestamp(stamp).replace(tzinfo=timezone.utc))  # noqa: DTZ006
