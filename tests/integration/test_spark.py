"""Version views over Spark: its offline store, its engine, and SQL entity dataframes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

# Imported before any test: these modules put warning filters of their own in front of pytest's.
import feast.infra.offline_stores.contrib.spark_offline_store.spark  # noqa: F401
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.repo_config import RegistryConfig

from feast_bc.errors import DimensionError
from tests.support.families import EXAMPLE, USER, at, online, same

pytestmark = pytest.mark.skipif(
    shutil.which("java") is None and "JAVA_HOME" not in os.environ,
    reason="Spark needs Java 17 or newer, which no Python package brings whole.",
)

ASKED = [(1, 2.0), (2, 6.0), (1, 6.0), (3, 6.0), (9, 6.0)]


@pytest.fixture(scope="module", params=["local", "spark.engine"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FeatureStore]:
    folder = tmp_path_factory.mktemp("spark")
    embedding = EXAMPLE.write_over(
        folder,
        lambda member: SparkSource(
            name=f"v{member.version}",
            path=member.source.path,
            file_format="parquet",
            timestamp_field="event_timestamp",
        ),
    )
    made = FeatureStore(
        config=RepoConfig(
            project="test",
            provider="feast_bc.BackwardCompatibleProvider",
            registry=RegistryConfig(path=str(folder / "registry.db")),
            offline_store={
                "type": "spark",
                "spark_conf": {
                    "spark.master": "local[1]",
                    "spark.driver.bindAddress": "127.0.0.1",
                    "spark.driver.host": "127.0.0.1",
                    "spark.ui.enabled": "false",
                    "spark.sql.session.timeZone": "UTC",
                    "spark.sql.warehouse.dir": str(folder / "warehouse"),
                },
            },
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            batch_engine={"type": request.param},
            entity_key_serialization_version=3,
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)  # workers run this interpreter
        made.apply([USER, *embedding.feature_views().values()])
        yield made
        session().stop()


def session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def asked() -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(
        {"user_id": [u for u, _ in ASKED], "event_timestamp": [at(h) for _, h in ASKED]}
    )
    return frame


def test_a_dataframe(store: FeatureStore) -> None:
    found = store.get_historical_features(asked(), ["user_embedding_v0:embedding"]).to_df()
    assert list(found["user_id"]) == [user for user, _ in ASKED]
    same(list(found["embedding"]), [EXAMPLE.value(0, user, hour) for user, hour in ASKED])


def test_a_query_as_entity_dataframe(store: FeatureStore) -> None:
    session().createDataFrame(asked()).createOrReplaceTempView("asked")
    found = store.get_historical_features(
        "SELECT user_id, event_timestamp FROM asked", ["user_embedding_v0:embedding"]
    ).to_df()
    hours = (pd.to_datetime(found["event_timestamp"], utc=True) - at(0)) / pd.Timedelta(hours=1)
    rows = list(zip(found["user_id"], hours, strict=True))
    assert sorted(rows) == sorted(ASKED)
    same(list(found["embedding"]), [EXAMPLE.value(0, user, hour) for user, hour in rows])


def test_materialize(store: FeatureStore) -> None:
    store.materialize(at(0), at(6))
    users = [1, 2, 3, 9]
    same(online(store, "user_embedding_v0", users), [EXAMPLE.value(0, u, 6) for u in users])
    assert np.array(online(store, "user_embedding_v1", [1])).shape == (1, 3)


def test_a_bad_vector_fails_the_run_until_it_is_repaired(
    store: FeatureStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The error is the one of a single machine; no watermark moves; a re-run completes."""
    source = store.get_feature_view("user_embedding_v1").batch_source.members[0].source
    table = pq.read_table(source.path)
    bad = [None if vector is None else vector[:-1] for vector in table["embedding"].to_pylist()]
    place = table.schema.get_field_index("embedding")
    column = pa.array(bad, table.schema.field("embedding").type)
    before = store.get_feature_view("user_embedding_v1").materialization_intervals
    pq.write_table(table.set_column(place, "embedding", column), source.path)
    session().catalog.clearCache()
    try:
        with pytest.raises(DimensionError, match=r"user_embedding_v[01].*expected vectors of"):
            store.materialize(at(0), at(7))
    finally:
        pq.write_table(table, source.path)
    after = store.get_feature_view("user_embedding_v1").materialization_intervals
    assert after == before
    store.materialize(at(0), at(7))
    users = [1, 2, 3, 9]
    same(online(store, "user_embedding_v0", users), [EXAMPLE.value(0, u, 7) for u in users])


def test_only_counts_come_to_the_driver(store: FeatureStore) -> None:
    """The local engine pulls the vectors; Spark's workers report one row per bucket."""
    if store.config.batch_engine.type != "spark.engine":
        pytest.skip("The local engine has no workers.")
    with patch("feast_bc.offline.store.BackwardCompatibleOfflineStore.latest_rows") as pulled:
        store.materialize(at(0), at(8))
    assert not pulled.called
