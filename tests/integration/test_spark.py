"""Version views over Spark: its offline store, its engine, and SQL entity dataframes."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from feast_bc.errors import DimensionError, InvalidVectorsError
from tests.support.bad_sources import FAMILY, FAULTS, bound
from tests.support.families import EXAMPLE, KEEPS, KEPT_USERS, USER, at, online, same
from tests.support.spark import needs_java, over_spark, session, spark_config, spark_workers

pytestmark = needs_java

ASKED = [(1, 2.0), (2, 6.0), (1, 6.0), (3, 6.0), (9, 6.0)]


@pytest.fixture(scope="module", params=["local", "spark.engine"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FeatureStore]:
    folder = tmp_path_factory.mktemp("spark")
    embedding = EXAMPLE.write_over(folder, over_spark)
    (folder / "kept").mkdir()
    kept = KEEPS.write_over(folder / "kept", over_spark)
    with spark_workers():
        made = FeatureStore(config=spark_config(folder, master="local[1]", engine=request.param))
        views = embedding.feature_views() | kept.feature_views()
        made.apply([USER, *views.values()])
        yield made


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


def test_unchanged_vectors_are_kept(store: FeatureStore) -> None:
    store.materialize(at(0), at(6))
    frame = pd.DataFrame({"user_id": KEPT_USERS, "event_timestamp": [at(6)] * len(KEPT_USERS)})
    for version in range(3):
        expected = [KEEPS.value(version, user, 6) for user in KEPT_USERS]
        same(online(store, f"kept_embedding_v{version}", KEPT_USERS), expected)
        job = store.get_historical_features(frame, [f"kept_embedding_v{version}:embedding"])
        same(list(job.to_df()["embedding"]), expected)


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
        named = r"user_embedding_v[01].*expected vectors of.*user_id="
        with pytest.raises(DimensionError, match=named):
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


def test_a_source_that_went_bad(
    store: FeatureStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Counted and sampled by Spark, where its engine does the work."""
    if store.config.batch_engine.type != "spark.engine":
        pytest.skip("The local engine pulls a Spark source once, as one table.")
    folder = tmp_path_factory.mktemp("bad")
    family = bound(FAMILY.write_over(folder, over_spark), store.config)
    config = store.config.model_copy(
        update={"registry_config": {"path": str(folder / "registry.db")}, "project": "bad"}
    )
    store = FeatureStore(config=config)
    store.apply([USER, *family.feature_views().values()])
    path = folder / "v1.parquet"
    right = path.read_bytes()
    for fault in ("empty", "shrunken", "other vectors", "text keys", "missing"):
        spoil, told = FAULTS[fault]
        path.write_bytes(right)
        spoil(path)
        session().catalog.clearCache()
        with pytest.raises(InvalidVectorsError, match=f"(?s)source 'v1'.*{told}"):
            store.materialize(at(0), at(3))
    path.write_bytes(right)
    session().catalog.clearCache()
    store.materialize(at(0), at(3))
    same(online(store, "user_embedding_v0", [1, 2]), [FAMILY.value(0, u, 3) for u in (1, 2)])
