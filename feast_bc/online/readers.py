"""Which reader serves an online store."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.repo_config import RepoConfig

from feast_bc.columns.entity_keys import entity_key_protos, key_types, serialized_keys
from feast_bc.online.reader import StoreReader
from feast_bc.online.sqlite.reader import SqliteReader


def reader_for(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[EntityKeyProto]
) -> StoreReader:
    """The fastest reader of a store, over entities that Feast has made protos of."""
    kind = _reader_class(store)
    if kind is StoreReader:
        return StoreReader(store, config, view, keys)
    version = config.entity_key_serialization_version
    serialized = [
        serialize_entity_key(key, entity_key_serialization_version=version) for key in keys
    ]
    return kind(store, config, view, serialized)


def reader_for_table(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: pa.Table
) -> StoreReader:
    """The fastest reader of a store, over entities in a table of join keys."""
    kind = _reader_class(store)
    types = key_types(view)
    if kind is StoreReader:
        return StoreReader(store, config, view, entity_key_protos(keys, types))
    serialized = serialized_keys(keys, types, config.entity_key_serialization_version)
    return kind(store, config, view, serialized)


def is_redis(store: OnlineStore) -> bool:
    """Whether a store is Feast's Redis store; by name, because redis is an extra."""
    return any(cls.__name__ == "RedisOnlineStore" for cls in type(store).__mro__)


def _reader_class(store: OnlineStore) -> type[StoreReader]:
    if isinstance(store, SqliteOnlineStore):
        return SqliteReader
    if is_redis(store):
        from feast_bc.online.redis.reader import RedisReader

        return RedisReader
    return StoreReader
