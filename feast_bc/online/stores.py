"""How feast-bc reads and writes each of Feast's online stores.

Every store works through Feast's own interface. Those named here are read and written directly,
which is faster: each by a folder beside this file, whose `ACCESS` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import pyarrow as pa
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.repo_config import RepoConfig

from feast_bc.columns.entity_keys import entity_key_protos, key_types, serialized_keys
from feast_bc.feast_internals import DYNAMODB, POSTGRES, REDIS, SQLITE, is_a
from feast_bc.online.access import StoreAccess
from feast_bc.online.reader import StoreReader
from feast_bc.online.writer import OnlineWriter

# Imported when such a store is used: its driver may not be installed.
_DIRECT = {
    POSTGRES: "feast_bc.online.postgres",
    REDIS: "feast_bc.online.redis",
    SQLITE: "feast_bc.online.sqlite",
}

# A request of Feast's to DynamoDB carries 25 rows: its threads keep four of them on their way.
# Stores that are not named here write one batch at a time. Cassandra, ScyllaDB, Bigtable and
# Datastore send its rows concurrently by themselves.
_THROUGH_FEAST = {DYNAMODB: StoreAccess(at_once=4)}

_FEAST = StoreAccess()


def access(store: OnlineStore) -> StoreAccess:
    """How to read and write a store."""
    for name, folder in _DIRECT.items():
        if is_a(store, name):
            found: StoreAccess = import_module(folder).ACCESS
            return found
    named = (known for name, known in _THROUGH_FEAST.items() if is_a(store, name))
    return next(named, _FEAST)


def reader_for(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[EntityKeyProto]
) -> StoreReader:
    """The fastest reader of a store, over entities that Feast has made protos of."""
    reader = access(store).reader
    if reader is StoreReader:
        return StoreReader(store, config, view, keys)
    version = config.entity_key_serialization_version
    serialized = [
        serialize_entity_key(key, entity_key_serialization_version=version) for key in keys
    ]
    return reader(store, config, view, serialized)


def reader_for_table(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: pa.Table
) -> StoreReader:
    """The fastest reader of a store, over entities in a table of join keys."""
    reader = access(store).reader
    types = key_types(view)
    if reader is StoreReader:
        return StoreReader(store, config, view, entity_key_protos(keys, types))
    serialized = serialized_keys(keys, types, config.entity_key_serialization_version)
    return reader(store, config, view, serialized)


def writer_for(store: OnlineStore, config: RepoConfig) -> OnlineWriter:
    """The fastest writer that stores what Feast would store."""
    return access(store).open_writer(store, config)
