"""Historical retrieval over Ray stays in Ray, and gives what the other stores give."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureService, FeatureStore, FileSource
from feast.errors import FeastEntityDFMissingColumnsError, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.ray_offline_store.ray_source import RaySource
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc import historical_vectors
from feast_bc.errors import DimensionError, ProviderError
from feast_bc.transforms import AffineTransform
from tests.support.families import (
    HISTORY,
    KEEPS,
    KEPT_USERS,
    USER,
    Family,
    Row,
    at,
    make_store,
    native_table,
    offline,
    online,
    same,
)
from tests.support.ray_history import history_store
from tests.support.ray_session import ray_session, ray_store
from tests.support.strategies import families

ASKED = [(1, 2.0), (2, 6.0), (1, 8.5), (1, 6.0), (3, 6.0), (9, 6.0), (4, 6.0), (1, 8.5), (1, 9.5)]
REFS = [f"user_embedding_v{version}:embedding" for version in (0, 1)]
FULL = [ref.replace(":", "__") for ref in REFS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray_historical")


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with ray_session():
        yield


@pytest.fixture(scope="module")
def store(folder: Path) -> FeatureStore:
    return history_store(folder)


def asked() -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(
        {"user_id": [u for u, _ in ASKED], "event_timestamp": [at(h) for _, h in ASKED]}
    )
    return frame


def labelled() -> pd.DataFrame:
    frame: pd.DataFrame = asked().assign(
        label=list("abcdefghi"),
        weight=np.arange(9, dtype=np.uint16),
        maybe=pd.array([1, None] * 4 + [None], "Int32"),
    )
    return frame


def vectors(table: pa.Table, column: str) -> list[np.ndarray | None]:
    return [None if v is None else np.array(v) for v in table[column].to_pylist()]


def expected(version: int) -> list[np.ndarray | None]:
    return [HISTORY.value(version, user, hour) for user, hour in ASKED]


def test_what_duckdb_gives(store: FeatureStore, tmp_path: Path) -> None:
    """The same columns, types and rows as the eager path, block after block."""
    duckdb = make_store(tmp_path)
    duckdb.apply([USER, *HISTORY.write(tmp_path).feature_views().values()])
    theirs = duckdb.get_historical_features(labelled(), REFS, full_feature_names=True).to_arrow()
    job = store.get_historical_features(labelled(), REFS, full_feature_names=True)
    with patch("feast_bc.offline.ray.retrieval._FLOATS_PER_BLOCK", 8):
        ours = job.to_arrow()
    assert ours.schema.names == theirs.schema.names
    assert ours.schema.types == theirs.schema.types
    for name in theirs.column_names[:5]:
        assert ours[name].to_pylist() == theirs[name].to_pylist()
    for version, name in enumerate(FULL):
        same(vectors(ours, name), expected(version))
        same(vectors(theirs, name), expected(version))


@settings(max_examples=10)
@given(family=families(), hours=st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_the_rule_over_random_histories(family: Family, hours: list[int]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        store = ray_store(Path(scratch))
        store.apply([USER, *family.write(Path(scratch)).feature_views().values()])
        users = [1 + i % 4 for i in range(len(hours))]
        for version in range(len(family.dims)):
            found = offline(store, f"user_embedding_v{version}", users, hours)
            pairs = zip(users, hours, strict=True)
            same(found, [family.value(version, user, hour) for user, hour in pairs])


def test_more_than_feast_would_broadcast(tmp_path: Path) -> None:
    """Above 100 MB, Feast's own join would only match rows of the same hour."""
    count, dim = 100_000, 300
    rng = np.random.default_rng(0)
    natives = {}
    for version in (0, 1):
        matrix = rng.normal(size=(count, dim)).astype(np.float32)
        natives[version] = matrix
    family = Family(
        dims=[dim, dim],
        rows=[],
        active={1: [(50, None)]},
        transforms=[AffineTransform(np.eye(dim)[::-1], from_version=1, to_version=0)],
    )
    embedding = family.write(tmp_path)
    for version, matrix in natives.items():
        hours = pa.array([at(version * 10)] * count, pa.timestamp("us", "UTC"))
        flat = pa.array(matrix.reshape(-1))
        lists = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * dim), flat)
        columns = {"user_id": np.arange(count), "event_timestamp": hours, "embedding": lists}
        path = tmp_path / f"v{version}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=20_000, compression="none")
        assert path.stat().st_size > 100 * 2**20
    store = ray_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    users = rng.integers(0, count, 200)
    hours = rng.choice([-1, 5, 40, 60], 200)
    found = offline(store, "user_embedding_v0", users.tolist(), hours.tolist())
    truth = [
        None
        if hour < 0
        else natives[1][user][::-1]  # the transformation turns vectors round
        if hour >= 50
        else natives[0][user]
        for user, hour in zip(users, hours, strict=True)
    ]
    same(found, truth)


def test_the_rows_stay_in_ray(store: FeatureStore) -> None:
    from ray.data import Dataset

    with patch("feast_bc.offline.ray.retrieval._FLOATS_PER_BLOCK", 8):
        job = store.get_historical_features(asked(), REFS, full_feature_names=True)
        dataset = job.to_ray_dataset()
    assert isinstance(dataset, Dataset)
    assert dataset.schema().names == ["user_id", "event_timestamp", *FULL]
    rows = dataset.take_all()
    assert [row["user_id"] for row in rows] == [user for user, _ in ASKED]
    values = [None if row[FULL[0]] is None else np.array(row[FULL[0]]) for row in rows]
    same(values, expected(0))
    job.materialize()
    assert len(job.to_df()) == len(ASKED)
    assert job.to_feast_df().data is job.to_ray_dataset()


def test_other_views_in_the_same_call(store: FeatureStore) -> None:
    refs = [REFS[0], "profile:age", REFS[1]]
    table = store.get_historical_features(labelled(), refs, full_feature_names=True).to_arrow()
    assert table.column_names[5:] == [FULL[0], "profile__age", FULL[1]]
    assert table["label"].to_pylist() == list("abcdefghi")
    ages = [None if v is None or np.isnan(v) else v for v in table["profile__age"].to_pylist()]
    assert ages == [30, 40, 30, 30, None, None, None, 30, 30]
    for version in (0, 1):
        same(vectors(table, FULL[version]), expected(version))


def test_join_key_map(store: FeatureStore) -> None:
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


def test_a_csv_file_as_entity_dataframe(store: FeatureStore, tmp_path: Path) -> None:
    """Feast's Ray store takes a text for the path of one."""
    asked().to_csv(tmp_path / "asked.csv", index=False)
    table = store.get_historical_features(str(tmp_path / "asked.csv"), REFS[:1]).to_arrow()
    assert table["user_id"].to_pylist() == [user for user, _ in ASKED]
    same(vectors(table, "embedding"), expected(0))


def test_an_empty_entity_dataframe(store: FeatureStore) -> None:
    job = store.get_historical_features(labelled().iloc[:0], [REFS[0], "profile:age"])
    table = job.to_arrow()
    assert len(table) == 0
    assert table.column_names[3:] == ["weight", "maybe", "embedding", "age"]
    assert table["embedding"].type == pa.list_(pa.float32())


def test_a_missing_join_key(store: FeatureStore) -> None:
    frame = asked().rename(columns={"user_id": "customer"})
    with pytest.raises(FeastEntityDFMissingColumnsError, match="user_id"):
        store.get_historical_features(frame, REFS[:1])


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
    for version, name in enumerate(FULL):
        rows = zip(found.vectors[name], found.present[name], strict=True)
        same([row if there else None for row, there in rows], expected(version))


def test_rows_written_late(tmp_path: Path) -> None:
    """Ties of one instant, in part files with columns under other names; online as offline."""
    table = pa.table(
        {
            "id": pa.array([1, 1, 1, 2], pa.int64()),
            "computed": pa.array([at(1), at(1), at(1), at(1)], pa.timestamp("us")),  # no zone
            "created": pa.array([at(2), at(5), None, at(4)], pa.timestamp("us", "UTC")),
            "vector": pa.array([[1.0], [2.0], [3.0], [4.0]], pa.list_(pa.float64())),
        }
    )
    (tmp_path / "parts").mkdir()
    pq.write_table(table.slice(0, 2), tmp_path / "parts" / "a.parquet")
    pq.write_table(table.slice(2), tmp_path / "parts" / "b.parquet")
    source = FileSource(
        name="late",
        path=str(tmp_path / "parts"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping={"id": "user_id", "computed": "event_timestamp", "vector": "embedding"},
    )
    family = Family(dims=[1], rows=[])
    embedding = family.write_over(tmp_path, lambda _: source)
    store = ray_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    found = offline(store, "user_embedding_v0", [1, 2, 1], [6, 6, 0])
    same(found, [np.array([2.0]), np.array([4.0]), None])
    store.materialize(at(0), at(6))
    same(online(store, "user_embedding_v0", [1, 2]), [np.array([2.0]), np.array([4.0])])


def test_the_latest_rows(store: FeatureStore, folder: Path) -> None:
    """What Feast pulls of a version view: the values that changed in a window."""
    view = store.get_feature_view("user_embedding_v0")
    job = store.provider.offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=view.batch_source,
        join_key_columns=["user_id"],
        feature_name_columns=["embedding"],
        timestamp_field="event_timestamp",
        created_timestamp_column=None,
        start_date=at(0),
        end_date=at(6),
    )
    table = job.to_arrow().sort_by("user_id")
    assert table["user_id"].to_pylist() == [1, 2, 3, 4]
    same(vectors(table, "embedding"), [HISTORY.value(0, user, 6) for user in (1, 2, 3, 4)])


def test_persist(store: FeatureStore, tmp_path: Path) -> None:
    """A file, or a folder that Ray's workers write; rows in order."""
    job = store.get_historical_features(labelled(), REFS, full_feature_names=True)
    for name in ("set.parquet", "set"):
        storage = SavedDatasetFileStorage(path=str(tmp_path / name))
        job.persist(storage)
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            job.persist(storage)
        job.persist(storage, allow_overwrite=True)
        table = pq.read_table(tmp_path / name)
        assert table["label"].to_pylist() == list("abcdefghi")
        same(vectors(table, FULL[0]), expected(0))
    with pytest.raises(ProviderError, match="SavedDatasetFileStorage"):
        job.persist(object())


def test_to_remote_storage(store: FeatureStore) -> None:
    job = store.get_historical_features(labelled(), REFS, full_feature_names=True)
    (path,) = job.to_remote_storage()
    table = pq.read_table(path)
    assert table["label"].to_pylist() == list("abcdefghi")
    same(vectors(table, FULL[0]), expected(0))


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
        with pytest.raises(DimensionError, match=message):
            job.persist(SavedDatasetFileStorage(path=str(folder / "wrong")))
    finally:
        file.write_bytes(right)


def test_a_source_that_is_not_parquet(tmp_path: Path) -> None:
    embedding = HISTORY.write_over(
        tmp_path,
        lambda member: RaySource(
            name=f"v{member.version}",
            reader_type="csv",
            path=str(tmp_path / "x.csv"),
            timestamp_field="event_timestamp",
        ),
    )
    store = ray_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    with pytest.raises(ProviderError, match=r"source 'v[02]' is a RaySource .* parquet files"):
        store.get_historical_features(asked(), REFS[:1])


def test_unchanged_vectors_are_kept(tmp_path: Path) -> None:
    """Ray's workers join, decide and write; online and offline agree."""
    made = ray_store(tmp_path)
    made.apply([USER, *KEEPS.write(tmp_path).feature_views().values()])
    made.materialize(at(0), at(6))
    frame = pd.DataFrame({"user_id": KEPT_USERS, "event_timestamp": [at(6)] * len(KEPT_USERS)})
    views = [f"kept_embedding_v{version}" for version in range(3)]
    job = made.get_historical_features(
        frame, [f"{view}:embedding" for view in views], full_feature_names=True
    )
    found = job.to_df()
    for version, view in enumerate(views):
        expected = [KEEPS.value(version, user, 6) for user in KEPT_USERS]
        same(online(made, view, KEPT_USERS), expected)
        same(list(found[f"{view}__embedding"]), expected)
