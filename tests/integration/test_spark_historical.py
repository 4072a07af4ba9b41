"""Historical retrieval over Spark stays in Spark, and gives what the other stores give."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FeatureView, Field
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import (
    SavedDatasetSparkStorage,
)
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from feast_bc import historical_vectors
from feast_bc.errors import DimensionError, ProviderError
from tests.support.families import (
    HISTORY,
    USER,
    Row,
    at,
    make_store,
    native_table,
    same,
)
from tests.support.spark import (
    needs_java,
    over_spark,
    session,
    spark_config,
    spark_source,
    spark_workers,
)

pytestmark = needs_java

ASKED = [(1, 2.0), (2, 6.0), (1, 8.5), (1, 6.0), (3, 6.0), (9, 6.0), (4, 6.0), (1, 8.5), (1, 9.5)]
REFS = [f"user_embedding_v{version}:embedding" for version in (0, 1)]
FULL = [ref.replace(":", "__") for ref in REFS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spark_historical")


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[FeatureStore]:
    embedding = HISTORY.write_over(folder, over_spark)
    ages = pa.table(
        {
            "user_id": pa.array([1, 2, 2], pa.int64()),
            # User 2 has two rows of one instant: Feast's join repeats the entity row.
            "event_timestamp": pa.array([at(0), at(2), at(2)], pa.timestamp("us", "UTC")),
            "age": pa.array([30, 40, 40], pa.int64()),
        }
    )
    pq.write_table(ages, folder / "profile.parquet")
    profile = FeatureView(
        name="profile",
        entities=[USER],
        schema=[Field(name="user_id", dtype=Int64), Field(name="age", dtype=Int64)],
        source=spark_source("profile", folder / "profile.parquet"),
    )
    views = embedding.feature_views()

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[views["user_embedding_v0"]],
        schema=[Field(name="norm", dtype=Float64)],
        mode="pandas",
    )
    def user_norm(inputs: pd.DataFrame) -> pd.DataFrame:
        norms = [np.nan if v is None else float(np.linalg.norm(v)) for v in inputs["embedding"]]
        found: pd.DataFrame = pd.DataFrame({"norm": norms})
        return found

    with spark_workers():
        made = FeatureStore(config=spark_config(folder, master="local[2]"))
        made.apply([USER, profile, *views.values(), user_norm])
        yield made


def asked() -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(
        {"user_id": [u for u, _ in ASKED], "event_timestamp": [at(h) for _, h in ASKED]}
    )
    return frame


def labelled() -> pd.DataFrame:
    frame: pd.DataFrame = asked().assign(
        label=list("abcdefghi"),
        weight=np.arange(9, dtype=np.int16),
        maybe=pd.array([1, None] * 4 + [None], "Int32"),
    )
    return frame


def as_query() -> str:
    session().createDataFrame(labelled()).createOrReplaceTempView("asked")
    return "SELECT * FROM asked"


ENTITY_DFS: dict[str, Callable[[], Any]] = {
    "pandas": labelled,
    "query": as_query,
    "spark": lambda: session().createDataFrame(labelled()),
}


def vectors(table: pa.Table, column: str) -> list[np.ndarray | None]:
    return [None if v is None else np.array(v) for v in table[column].to_pylist()]


def expected(version: int) -> list[np.ndarray | None]:
    return [HISTORY.value(version, user, hour) for user, hour in ASKED]


@pytest.mark.parametrize("kind", ENTITY_DFS)
def test_what_duckdb_gives(store: FeatureStore, kind: str, tmp_path: Path) -> None:
    """Every kind of entity dataframe: the same columns, types and rows as the eager path."""
    duckdb = make_store(tmp_path)
    duckdb.apply([USER, *HISTORY.write(tmp_path).feature_views().values()])
    theirs = duckdb.get_historical_features(labelled(), REFS, full_feature_names=True).to_arrow()
    job = store.get_historical_features(ENTITY_DFS[kind](), REFS, full_feature_names=True)
    ours = job.to_arrow()
    assert ours.column_names == theirs.column_names
    assert [ours.schema.field(name).type for name in FULL] == [pa.list_(pa.float32())] * 2
    if kind == "pandas":
        assert ours.schema.types == theirs.schema.types
    else:
        ours = ours.sort_by("label")
    for name in theirs.column_names[:5]:
        assert ours[name].to_pylist() == theirs[name].to_pylist()
    for version, name in enumerate(FULL):
        same(vectors(ours, name), expected(version))
        same(vectors(theirs, name), expected(version))


def test_the_rows_stay_in_spark(store: FeatureStore) -> None:
    from pyspark.sql import DataFrame

    job = store.get_historical_features(asked(), REFS, full_feature_names=True)
    frame = job.to_spark_df()
    assert isinstance(frame, DataFrame)
    assert frame.dtypes == [
        ("user_id", "bigint"),
        ("event_timestamp", "timestamp"),
        *((name, "array<float>") for name in FULL),
    ]
    assert frame.filter("user_embedding_v0__embedding IS NULL").count() == 1
    rows = [(row["user_id"], row["event_timestamp"]) for row in frame.collect()]
    assert [user for user, _ in rows] == [user for user, _ in ASKED]


def test_other_views_in_the_same_call(store: FeatureStore) -> None:
    """Rows are not repeated where a plain view has two rows of one instant."""
    refs = [REFS[0], "profile:age", REFS[1]]
    frame = labelled()
    frame["weight"] = frame["weight"].astype(np.uint16)  # a type that Spark has not
    table = store.get_historical_features(frame, refs, full_feature_names=True).to_arrow()
    assert table["weight"].type == pa.uint16()
    assert table.column_names[5:] == [FULL[0], "profile__age", FULL[1]]
    assert table["label"].to_pylist() == list("abcdefghi")
    assert table["profile__age"].to_pylist() == [30, 40, 30, 30, None, None, None, 30, 30]
    for version in (0, 1):
        same(vectors(table, FULL[version]), expected(version))


def test_join_key_map(store: FeatureStore) -> None:
    from feast import FeatureService

    view = store.get_feature_view("user_embedding_v0")
    buyer = view.with_name("buyer").with_join_key_map({"user_id": "buyer_id"})
    seller = view.with_name("seller").with_join_key_map({"user_id": "seller_id"})
    frame = pd.DataFrame({"buyer_id": [1, 2], "seller_id": [3, 1], "event_timestamp": [at(6)] * 2})
    service = FeatureService(name="pair", features=[buyer, seller])
    store.apply([service])
    table = store.get_historical_features(frame, service, full_feature_names=True).to_arrow()
    same(vectors(table, "buyer__embedding"), [HISTORY.value(0, u, 6) for u in (1, 2)])
    same(vectors(table, "seller__embedding"), [HISTORY.value(0, u, 6) for u in (3, 1)])


def test_naive_instants_under_another_name(store: FeatureStore) -> None:
    frame = asked().rename(columns={"event_timestamp": "seen"})
    frame["seen"] = frame["seen"].dt.tz_localize(None)
    before = frame.copy()
    table = store.get_historical_features(frame, REFS[:1]).to_arrow()
    pd.testing.assert_frame_equal(frame, before)
    assert table.column_names == ["user_id", "seen", "embedding"]
    same(vectors(table, "embedding"), expected(0))


@pytest.mark.parametrize("kind", [*ENTITY_DFS, "none"])
def test_zones_other_than_utc(
    store: FeatureStore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the session's time zone nor the driver's moves Feast's windows."""
    entities = None if kind == "none" else ENTITY_DFS[kind]()
    window = {"start_date": at(0), "end_date": at(6)} if kind == "none" else {}
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        session().conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        try:
            table = store.get_historical_features(entities, REFS[:1], **window).to_arrow()
            zone = session().conf.get("spark.sql.session.timeZone")
        finally:
            session().conf.set("spark.sql.session.timeZone", "UTC")
    time.tzset()
    assert zone == "Asia/Tokyo"
    table = table.sort_by("user_id" if kind == "none" else "label")
    asked = [(user, 6.0) for user in (1, 2, 3, 4)] if kind == "none" else ASKED
    instants = table["event_timestamp"].cast(pa.timestamp("us", "UTC"))
    assert instants.to_pylist() == [at(hour) for _, hour in asked]
    same(vectors(table, "embedding"), [HISTORY.value(0, user, hour) for user, hour in asked])


def test_an_empty_entity_dataframe(store: FeatureStore) -> None:
    job = store.get_historical_features(labelled().iloc[:0], [REFS[0], "profile:age"])
    table = job.to_arrow()
    assert len(table) == 0
    assert table.column_names[3:] == ["weight", "maybe", "embedding", "age"]
    assert table["embedding"].type == pa.list_(pa.float32())


@pytest.mark.parametrize("kind", ENTITY_DFS)
def test_a_missing_join_key(store: FeatureStore, kind: str) -> None:
    frame = asked().rename(columns={"user_id": "customer"})
    asking: Any = frame
    if kind != "pandas":
        asking = session().createDataFrame(frame)
    if kind == "query":
        asking.createOrReplaceTempView("customers")
        asking = "SELECT * FROM customers"
    with pytest.raises(FeastEntityDFMissingColumnsError, match="user_id"):
        store.get_historical_features(asking, REFS[:1]).to_arrow()


def test_without_entities(store: FeatureStore) -> None:
    frame = store.get_historical_features(
        features=[REFS[0], "profile:age"], start_date=at(0), end_date=at(6)
    ).to_df()
    frame = frame.sort_values("user_id")
    assert frame["user_id"].tolist() == [1, 2, 3, 4]
    same(list(frame["embedding"]), [HISTORY.value(0, user, 6) for user in (1, 2, 3, 4)])


def test_on_demand_view_on_top(store: FeatureStore) -> None:
    table = store.get_historical_features(asked(), ["user_norm:norm"]).to_arrow()
    norms = [np.nan if v is None else float(np.linalg.norm(v)) for v in expected(0)]
    np.testing.assert_allclose(np.array(table["norm"], float), norms, rtol=1e-5)


def test_historical_vectors(store: FeatureStore) -> None:
    job = store.get_historical_features(asked(), REFS, full_feature_names=True)
    found = historical_vectors(job)
    assert found.columns.column_names == ["user_id", "event_timestamp"]
    for version, name in enumerate(FULL):
        values = expected(version)
        assert found.present[name].tolist() == [value is not None for value in values]
        rows = zip(found.vectors[name], found.present[name], strict=True)
        same([row if there else None for row, there in rows], values)


@pytest.mark.parametrize("kind", ENTITY_DFS)
def test_saved_dataset(store: FeatureStore, kind: str) -> None:
    """Feast reads it back: the keys, the instants and the features."""
    job = store.get_historical_features(ENTITY_DFS[kind](), REFS, full_feature_names=True)
    # Feast makes no data source of a storage that has a path alone.
    storage = SavedDatasetSparkStorage(table=f"set_{kind}")
    saved = store.create_saved_dataset(job, name=f"set_{kind}", storage=storage)
    frame = saved.to_df()
    hours = (pd.to_datetime(frame["event_timestamp"], utc=True) - at(0)) / pd.Timedelta(hours=1)
    rows = list(zip(frame["user_id"], hours, strict=True))
    assert sorted(rows) == sorted(ASKED)
    for version, name in enumerate(FULL):
        same(list(frame[name]), [HISTORY.value(version, user, hour) for user, hour in rows])


def test_persist_under_a_path(store: FeatureStore, tmp_path: Path) -> None:
    job = store.get_historical_features(labelled(), REFS, full_feature_names=True)
    storage = SavedDatasetSparkStorage(path=str(tmp_path / "set"), file_format="parquet")
    job.persist(storage)
    table = session().read.parquet(str(tmp_path / "set")).toArrow().sort_by("label")
    same(vectors(table, FULL[0]), expected(0))
    with pytest.raises(Exception, match=r"(?i)already[ _]exists"):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def test_persist_as_a_file(store: FeatureStore, tmp_path: Path) -> None:
    job = store.get_historical_features(asked(), REFS[:1])
    job.persist(SavedDatasetFileStorage(path=str(tmp_path / "set.parquet")))
    same(vectors(pq.read_table(tmp_path / "set.parquet"), "embedding"), expected(0))
    with pytest.raises(ProviderError, match="SavedDatasetSparkStorage"):
        job.persist(object())


def test_to_remote_storage(store: FeatureStore, folder: Path, tmp_path: Path) -> None:
    """The files hold the rows in order; with a staging location Arrow comes from there."""
    staged = FeatureStore(
        config=spark_config(folder, master="local[2]", offline={"staging_location": str(tmp_path)})
    )
    job = staged.get_historical_features(labelled(), REFS, full_feature_names=True)
    paths = [path for path in job.to_remote_storage() if path.endswith(".parquet")]
    table = pa.concat_tables(map(pq.read_table, paths))
    assert table["label"].to_pylist() == list("abcdefghi")
    same(vectors(table, FULL[0]), expected(0))
    direct = store.get_historical_features(labelled(), REFS, full_feature_names=True).to_arrow()
    assert job.to_arrow().equals(direct)


def test_native_vectors_of_another_dimension(store: FeatureStore, folder: Path) -> None:
    """The worker's error reaches the user as feast-bc's, however the rows are asked for."""
    file = folder / "v1.parquet"
    right = file.read_bytes()
    pq.write_table(native_table([Row(1, 1, 4, (1, 2, 3, 4))]), file)
    try:
        job = store.get_historical_features(asked(), REFS[:1])
        message = r"user_embedding version 1 .*dimension 3, found 4"
        with pytest.raises(DimensionError, match=message):
            job.to_arrow()
        storage = SavedDatasetSparkStorage(path=str(folder / "wrong"), file_format="parquet")
        with pytest.raises(DimensionError, match=message):
            job.persist(storage, allow_overwrite=True)
    finally:
        file.write_bytes(right)
        session().catalog.clearCache()
