"""What feast-bc uses of Feast's insides: private names, and classes that are told by their name.

Feast promises nothing about these. `tests/test_feast_internals.py` holds each of them, and each
public method that is overridden, against the installed Feast: a release that moves one fails there.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import replace
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

from feast import FeatureView, utils
from feast.diff.property_diff import PropertyDiff
from feast.diff.registry_diff import RegistryDiff
from feast.infra.online_stores.helpers import _mmh3, compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

REDIS, SQLITE, REMOTE = "RedisOnlineStore", "SqliteOnlineStore", "RemoteOnlineStore"
POSTGRES, DYNAMODB = "PostgreSQLOnlineStore", "DynamoDBOnlineStore"
REMOTE_OFFLINE = "RemoteOfflineStore"
DASK, DUCKDB, SPARK = "DaskOfflineStore", "DuckDBOfflineStore", "SparkOfflineStore"
RAY = "RayOfflineStore"
SPARK_ENGINE, SPARK_SOURCE = "SparkComputeEngine", "SparkSource"
POSTGRES_OFFLINE, SNOWFLAKE = "PostgreSQLOfflineStore", "SnowflakeOfflineStore"
BIGQUERY, REDSHIFT = "BigQueryOfflineStore", "RedshiftOfflineStore"
ATHENA, TRINO = "AthenaOfflineStore", "TrinoOfflineStore"
RAY_ENGINE, RAY_SOURCE = "RayComputeEngine", "RaySource"

_MAKING = Lock()
_TURNS: WeakKeyDictionary[Any, RLock] = WeakKeyDictionary()


def is_a(store: object, name: str) -> bool:
    """Whether a store, or a class of stores, is one of Feast's.

    By name: a store's module can be imported only where its extra is installed.

    Args:
        store: an instance or a class.
        name: one of the names above.
    """
    cls = store if isinstance(store, type) else type(store)
    return any(base.__name__ == name for base in cls.__mro__)


def measures_reads() -> bool:
    """Whether a feature server of Feast collects metrics of online reads in this process."""
    module = sys.modules.get("feast.metrics")  # a server imports it; nobody else shall wait for it
    measured: bool = module is not None and module._config.online_features
    return measured


def shorten_plans(summary: Callable[[Any], str | None]) -> None:
    """Have `feast plan` print one line for what changes in some objects, not two whole protos.

    Feast hands nobody the text that it prints, nor the differences in it: their class prints
    through ours from now on. What it applies stays as it is.

    Args:
        summary: what an object amounts to; None for an object that Feast is to print as it does.
            Of one that amounts to the same, its name alone is printed.
    """
    stock: Callable[[RegistryDiff], str] = getattr(RegistryDiff, "stock", RegistryDiff.to_string)

    def to_string(diff: RegistryDiff) -> str:
        short = RegistryDiff()
        for each in diff.feast_object_diffs:
            old, new = each.current_feast_object, each.new_feast_object
            if each.feast_object_property_diffs and (told := summary(new)) is not None:
                was = summary(old)
                changes = [] if was == told else [PropertyDiff("versions", was, told)]
                each = replace(each, feast_object_property_diffs=changes)
            short.add_feast_object_diff(each)
        text: str = stock(short)
        return text

    RegistryDiff.stock, RegistryDiff.to_string = stock, to_string


def stored_name(view: FeatureView, config: RepoConfig) -> str:
    """The name under which a view stands in the online store; views may be versioned there."""
    versioning = config.registry.enable_online_feature_view_versioning
    name: str = compute_versioned_name(view, versioning)
    return name


def view_and_feature(ref: str) -> tuple[str, str]:
    """The view and the feature of a reference such as "user_embedding_v0:embedding"."""
    view, _, feature = utils._parse_feature_ref(ref)
    return view, feature


def redis_field(view: str, feature: str) -> bytes:
    """The field of a Redis hash in which a feature's value stands."""
    field: bytes = _mmh3(f"{view}:{feature}")
    return field


def redis_client(store: Any, config: RepoConfig) -> Any:
    """The client of a Redis store."""
    return store._get_client(config.online_store)


async def redis_client_async(store: Any, config: RepoConfig) -> Any:
    """Its client for asynchronous reads."""
    return await store._get_client_async(config.online_store)


def redis_replies(
    store: Any, config: RepoConfig, commands: Sequence[tuple[bytes, list[bytes]]]
) -> Sequence[Sequence[bytes | None]]:
    """The replies to one HMGET per key with its fields, through any client of a Redis store."""
    replies: Sequence[Sequence[bytes | None]] = store._read_hash_fields(config, commands)
    return replies


def redis_fields(
    store: Any, view: FeatureView, features: list[str], name: str
) -> tuple[list[str], list[bytes]]:
    """The features of a view that a Redis store reads, and the fields in which they stand.

    Args:
        store: the Redis store.
        view: the feature view.
        features: the requested ones; Feast adds the timestamp's, and drops it from the answer.
        name: the name under which the view is stored.
    """
    features, fields = store._generate_hset_keys_for_features(view, features, fv_name_override=name)
    return features, [field.encode() if isinstance(field, str) else field for field in fields]


def redis_keys(
    store: Any, config: RepoConfig, entities: Sequence[Mapping[str, ValueProto]]
) -> list[bytes]:
    """The Redis keys of entities."""
    keys = utils._get_entity_key_protos(entities)
    made: list[bytes] = store._generate_redis_keys_for_entities(config, keys)
    return made


def redis_rows(
    store: Any, replies: Sequence[Sequence[bytes | None]], name: str, features: list[str]
) -> list[Any]:
    """The replies to HMGETs of `redis_fields` as the rows that `online_read` returns."""
    rows: list[Any] = store._convert_redis_values_to_protobuf(replies, name, features)
    return rows


def unique_entities(
    view: FeatureView, join_key_values: Mapping[str, Any], join_key_of_entity: Mapping[str, str]
) -> tuple[Sequence[Mapping[str, ValueProto]], Any, int]:
    """The distinct entities of a request for a view, their rows in it, and its number of rows."""
    entities, rows, count = utils._get_unique_entities(view, join_key_values, join_key_of_entity)
    return entities, rows, count


def populate(
    response: Any,
    view: FeatureView,
    features: list[str],
    rows: Sequence[Any],
    rows_of_entity: Any,
    count: int,
    *,
    full_feature_names: bool,
    view_version_metadata: bool,
) -> None:
    """Write the rows of a view to Feast's response, in the order of the request."""
    utils._populate_response_from_feature_data(
        features,
        rows,
        rows_of_entity,
        response,
        full_feature_names,
        view,
        count,
        view_version_metadata,
    )


def read_views_one_by_one(
    store: OnlineStore, config: RepoConfig, grouped_refs: Any, *rest: Any
) -> None:
    """Feast's own loop over `online_read`, whatever a store does instead."""
    OnlineStore._read_features_per_fv(store, config, grouped_refs, *rest)


async def read_views_one_by_one_async(
    store: OnlineStore, config: RepoConfig, grouped_refs: Any, *rest: Any
) -> None:
    """The same over `online_read_async`."""
    await OnlineStore._read_features_per_fv_async(store, config, grouped_refs, *rest)


def sqlite_connection(store: Any, config: RepoConfig) -> Any:
    """The connection of a SQLite store."""
    return store._get_conn(config)


def sqlite_path(store: Any, config: RepoConfig) -> str:
    """The file of a SQLite store."""
    path: str = store._get_db_path(config)
    return path


def sqlite_table(project: str, name: str) -> str:
    """The quoted name of the table in which the rows of a stored view stand."""
    from feast.infra.online_stores.sqlite import _quote_id

    quoted: str = _quote_id(f"{project}_{name}")
    return quoted


def sqlite_timestamp(instant: Any) -> int:
    """A naive UTC datetime as a SQLite store keeps it."""
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch

    seconds: int = adapt_datetime_epoch(instant)
    return seconds


def spark_session(engine: Any, view: FeatureView) -> Any:
    """The session in which a Spark engine materializes a view."""
    return engine._get_feature_view_spark_session(view)


@contextmanager
def postgres_connection(store: Any, config: RepoConfig) -> Iterator[Any]:
    """A connection of a PostgreSQL store, which commits each statement outside a transaction.

    Feast gives none back to its pool after an error: the store is not told of any. Threads share a
    store's only connection, and one would be in the other's transaction: they take turns. Of a pool
    they take turns to open it.
    """
    lent = store._get_conn(config, autocommit=True)
    with ExitStack() as turn:
        turn.enter_context(_turns(store))
        connection = lent.__enter__()
        if store._conn_pool is not None:
            turn.close()
        try:
            yield connection
        finally:
            lent.__exit__(None, None, None)


def _turns(store: Any) -> RLock:
    """The lock of a store object."""
    with _MAKING:
        return _TURNS.setdefault(store, RLock())


@asynccontextmanager
async def postgres_connection_async(store: Any, config: RepoConfig) -> AsyncIterator[Any]:
    """Its connection for asynchronous reads."""
    lent = store._get_conn_async(config, autocommit=True)
    connection = await lent.__aenter__()
    try:
        yield connection
    finally:
        await lent.__aexit__(None, None, None)


def postgres_table(project: str, name: str) -> str:
    """The name of the table in which the rows of a stored view stand, unquoted."""
    return f"{project}_{name}"


def postgres_has_value_num(store: Any, config: RepoConfig, cursor: Any, table: str) -> bool:
    """Whether a table has Feast's column of numbers; a PostgreSQL store remembers it."""
    has: bool = store._check_table_has_value_num(cursor, table, config)
    return has


def offline_query(job: Any) -> AbstractContextManager[str]:
    """The SQL of a retrieval job of a SQL store, while what it needs stands there."""
    if hasattr(job, "_query_generator"):
        query: AbstractContextManager[str] = job._query_generator()
        return query
    return nullcontext(job.to_sql())


def ask_instead(job: Any, query: str) -> None:
    """Have a retrieval job of a SQL store, with its connection, run another query."""
    if hasattr(job, "_query_generator"):
        job._query_generator = lambda: nullcontext(query)
    else:
        job._query = query


def postgres_offline_connection(config: RepoConfig) -> Any:
    """A connection of one's own to the server of a PostgreSQL offline store."""
    from feast.infra.utils.postgres.connection_utils import _get_conn

    return _get_conn(config.offline_store)


def trino_cursor(job: Any) -> Any:
    """The cursor of a Trino store's job."""
    return job._client.get_cursor()
