"""Feast's insides are what feast-bc takes them for; a release that moves one fails here."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureView, utils
from feast.diff.registry_diff import RegistryDiff
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.ray.compute import RayComputeEngine
from feast.infra.compute_engines.spark.compute import SparkComputeEngine
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLRetrievalJob,
)
from feast.infra.offline_stores.contrib.ray_offline_store.ray import (
    RayOfflineStore,
    RayRetrievalJob,
)
from feast.infra.offline_stores.contrib.ray_offline_store.ray_source import RaySource
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkRetrievalJob,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.dask import DaskOfflineStore
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.offline_stores.remote import RemoteOfflineStore
from feast.infra.online_stores import helpers, sqlite
from feast.infra.online_stores.dynamodb import DynamoDBOnlineStore
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.infra.online_stores.remote import RemoteOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.infra.passthrough_provider import PassthroughProvider
from feast.infra.utils.postgres import connection_utils

from feast_bc import feast_internals
from feast_bc.feast_internals import (
    DASK,
    DUCKDB,
    DYNAMODB,
    POSTGRES,
    POSTGRES_OFFLINE,
    RAY,
    RAY_ENGINE,
    RAY_SOURCE,
    REDIS,
    REMOTE,
    REMOTE_OFFLINE,
    SPARK,
    SPARK_ENGINE,
    SPARK_SOURCE,
    SQLITE,
    ask_instead,
    is_a,
    offline_query,
    postgres_table,
    sqlite_table,
)
from feast_bc.materialization.compute_engine import BackwardCompatibleComputeEngine
from feast_bc.offline.ray.job import BackwardCompatibleRayRetrievalJob
from feast_bc.offline.retrieval_job import BackwardCompatibleRetrievalJob
from feast_bc.offline.spark.job import BackwardCompatibleSparkRetrievalJob
from feast_bc.offline.store import BackwardCompatibleOfflineStore
from feast_bc.online.store import BackwardCompatibleOnlineStore
from feast_bc.provider import BackwardCompatibleProvider

SIGNATURES: dict[Callable[..., Any], str] = {
    getattr(RegistryDiff, "stock", RegistryDiff.to_string): "self",
    helpers._mmh3: "key",
    helpers.compute_versioned_name: "table enable_versioning",
    utils._parse_feature_ref: "ref",
    utils._get_unique_entities: "table join_key_values entity_name_to_join_key_map",
    utils._get_entity_key_protos: "entity_rows",
    utils._populate_response_from_feature_data: (
        "requested_features read_rows indexes online_features_response full_feature_names table "
        "output_len include_feature_view_version_metadata"
    ),
    OnlineStore._read_features_per_fv: (
        "self config grouped_refs join_key_values entity_name_to_join_key_map "
        "online_features_response full_feature_names include_feature_view_version_metadata"
    ),
    OnlineStore._read_features_per_fv_async: (
        "self config grouped_refs join_key_values entity_name_to_join_key_map "
        "online_features_response full_feature_names include_feature_view_version_metadata"
    ),
    SparkComputeEngine._get_feature_view_spark_session: "self feature_view",
    RedisOnlineStore._get_client: "self online_store_config",
    RedisOnlineStore._get_client_async: "self online_store_config",
    RedisOnlineStore._read_hash_fields: "self config commands",
    RedisOnlineStore._generate_hset_keys_for_features: (
        "self feature_view requested_features fv_name_override"
    ),
    RedisOnlineStore._generate_redis_keys_for_entities: "self config entity_keys",
    RedisOnlineStore._convert_redis_values_to_protobuf: (
        "self redis_values feature_view requested_features"
    ),
    SqliteOnlineStore._get_conn: "self config",
    sqlite._quote_id: "identifier",
    sqlite.adapt_datetime_epoch: "val",
    connection_utils._get_conn: "config",
    PostgreSQLOnlineStore._get_conn: "self config autocommit",
    PostgreSQLOnlineStore._get_conn_async: "self config autocommit",
    PostgreSQLOnlineStore._check_table_has_value_num: "self cur table_name config",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_signatures(function: Callable[..., Any]) -> None:
    assert list(inspect.signature(function).parameters) == SIGNATURES[function].split()


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        (REDIS, RedisOnlineStore),
        (SQLITE, SqliteOnlineStore),
        (POSTGRES, PostgreSQLOnlineStore),
        (POSTGRES_OFFLINE, PostgreSQLOfflineStore),
        (DYNAMODB, DynamoDBOnlineStore),
        (REMOTE, RemoteOnlineStore),
        (REMOTE_OFFLINE, RemoteOfflineStore),
        (DASK, DaskOfflineStore),
        (DUCKDB, DuckDBOfflineStore),
        (RAY, RayOfflineStore),
        (RAY_ENGINE, RayComputeEngine),
        (RAY_SOURCE, RaySource),
        (SPARK, SparkOfflineStore),
        (SPARK_ENGINE, SparkComputeEngine),
        (SPARK_SOURCE, SparkSource),
    ],
)
def test_class_names(name: str, cls: type) -> None:
    assert is_a(cls, name)
    assert not is_a(object(), name)


def test_another_query_of_a_job() -> None:
    job = PostgreSQLRetrievalJob(query="SELECT 1", config=None, full_feature_names=False)
    with offline_query(job) as query:
        assert query == "SELECT 1"
    ask_instead(job, "SELECT 2")
    with offline_query(job) as query:
        assert query == job.to_sql() == "SELECT 2"


@pytest.mark.parametrize(
    ("module", "job", "attribute"),
    [
        ("snowflake", "SnowflakeRetrievalJob", "_query_generator"),
        ("bigquery", "BigQueryRetrievalJob", "_query_generator"),
        ("redshift", "RedshiftRetrievalJob", "_query_generator"),
        ("contrib/athena_offline_store/athena", "AthenaRetrievalJob", "_query_generator"),
        ("contrib/trino_offline_store/trino", "TrinoRetrievalJob", "_query"),
        ("contrib/trino_offline_store/trino", "TrinoRetrievalJob", "_client"),
    ],
)
def test_attributes_of_jobs_whose_drivers_are_not_installed(
    module: str, job: str, attribute: str
) -> None:
    """Read in Feast's source: the modules cannot be imported."""
    path = Path(inspect.getfile(OfflineStore)).parent / f"{module}.py"
    (found,) = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name == job
    ]
    assigned = {
        ast.unparse(target)
        for node in ast.walk(found)
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    assert f"self.{attribute}" in assigned


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Those that a caller fills."""
    found = inspect.signature(function).parameters
    return {name: each for name, each in found.items() if name != "self"}


OVERRIDES = {
    BackwardCompatibleComputeEngine: ComputeEngine,
    BackwardCompatibleOfflineStore: OfflineStore,
    BackwardCompatibleOnlineStore: OnlineStore,
    BackwardCompatibleProvider: PassthroughProvider,
    BackwardCompatibleRayRetrievalJob: RayRetrievalJob,
    BackwardCompatibleRetrievalJob: RetrievalJob,
    BackwardCompatibleSparkRetrievalJob: SparkRetrievalJob,
}


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (ours, name)
        for ours, theirs in OVERRIDES.items()
        for name, member in vars(ours).items()
        if inspect.isfunction(member) and hasattr(theirs, name) and name != "__init__"
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_overridden_methods_take_what_feast_passes(ours: type, name: str) -> None:
    """By position and by name: Feast calls some of them either way."""
    theirs, mine = (parameters(getattr(cls, name)) for cls in (OVERRIDES[ours], ours))
    named = [n for n, p in mine.items() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert named == (list(theirs) if len(named) == len(mine) else list(theirs)[: len(named)])


def test_a_server_switches_its_metrics_on_by_one_flag() -> None:
    # Another process: Feast's module sets up a folder for the processes of a server.
    script = (
        "from feast_bc.feast_internals import measures_reads\n"
        "assert not measures_reads()\n"
        "import feast.metrics\n"
        "assert not measures_reads()\n"
        "feast.metrics._config = feast.metrics.build_metrics_flags()\n"
        "assert measures_reads()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_table_of_a_view() -> None:
    view = FeatureView(name='odd "name"', entities=[], source=None, schema=[])
    theirs = helpers.compute_table_id("project", view, False)
    assert sqlite_table("project", view.name) == sqlite._quote_id(theirs)
    assert postgres_table("project", view.name) == theirs


def test_private_names_of_feast_stand_in_one_place() -> None:
    package = Path(feast_internals.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        if path == Path(feast_internals.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("feast."):
                module = import_module(node.module or "")
                names = [alias.name for alias in node.names if alias.name.startswith("_")]
                found += [f"{path.name}: {module.__name__}.{name}" for name in names]
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                owner = ast.unparse(node.value)
                ours = owner in {"self", "cls", "other", "super()"} or node.attr.startswith("__")
                ours = ours or node.attr == "_replace"  # named tuples offer it
                found += [] if ours else [f"{path.name}: {owner}.{node.attr}"]
    assert found == []
