"""Everything a store can be asked in a call with version views."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.errors import FeastEntityDFMissingColumnsError, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Float64, Int64
from feast.value_type import ValueType

from feast_bc.errors import DimensionError, ProviderError
from tests.support.families import EXAMPLE, USER, Family, Row, at, make_store, same

SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)


@pytest.fixture(params=["duckdb", "dask"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    """A store with a versioned user embedding and plain views of users and shops."""
    pq.write_table(
        pa.table(
            {
                "user_id": pa.array([1, 2], pa.int64()),
                "event_timestamp": pa.array([at(0), at(2)], pa.timestamp("us", "UTC")),
                "age": pa.array([30, 40], pa.int64()),
            }
        ),
        tmp_path / "profile.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "shop_id": pa.array([7], pa.int64()),
                "event_timestamp": pa.array([at(0)], pa.timestamp("us", "UTC")),
                "size": pa.array([100], pa.int64()),
            }
        ),
        tmp_path / "shop.parquet",
    )
    profile = FeatureView(
        name="profile",
        entities=[USER],
        schema=[Field(name="user_id", dtype=Int64), Field(name="age", dtype=Int64)],
        source=FileSource(
            path=str(tmp_path / "profile.parquet"), timestamp_field="event_timestamp"
        ),
    )
    shop = FeatureView(
        name="shop_facts",
        entities=[SHOP],
        schema=[Field(name="shop_id", dtype=Int64), Field(name="size", dtype=Int64)],
        source=FileSource(path=str(tmp_path / "shop.parquet"), timestamp_field="event_timestamp"),
    )
    views = EXAMPLE.write(tmp_path).feature_views()

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[views["user_embedding_v0"]],
        schema=[Field(name="norm", dtype=Float64)],
        mode="pandas",
    )
    def user_norm(inputs: pd.DataFrame) -> pd.DataFrame:
        norms = [np.nan if v is None else float(np.linalg.norm(v)) for v in inputs["embedding"]]
        found: pd.DataFrame = pd.DataFrame({"norm": norms})
        return found

    churn = FeatureService(name="churn", features=[views["user_embedding_v0"], profile])
    made = make_store(tmp_path, offline=request.param)
    made.apply([USER, SHOP, profile, shop, *views.values(), user_norm, churn])
    return made


def entity_df(rows: list[tuple[int, float]]) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(
        {"user_id": [u for u, _ in rows], "event_timestamp": [at(h) for _, h in rows]}
    )
    return frame


def vectors(table: pa.Table, column: str) -> list[np.ndarray | None]:
    return [None if v is None else np.array(v) for v in table[column].to_pylist()]


def test_several_versions_and_unrelated_views_in_one_call(store: FeatureStore) -> None:
    rows = [(1, 2.0), (2, 6.0), (1, 6.0), (3, 6.0), (9, 6.0)]
    frame = entity_df(rows).assign(shop_id=[7, 8, 7, 7, 7], label=list("abcde"))
    table = store.get_historical_features(
        frame,
        features=[
            "user_embedding_v0:embedding",
            "profile:age",
            "user_embedding_v1:embedding",
            "shop_facts:size",
        ],
        full_feature_names=True,
    ).to_arrow()
    assert table["label"].to_pylist() == list("abcde")
    assert table["profile__age"].to_pylist() == [30, 40, 30, None, None]
    assert table["shop_facts__size"].to_pylist() == [100, None, 100, 100, 100]
    for version in (0, 1):
        same(
            vectors(table, f"user_embedding_v{version}__embedding"),
            [EXAMPLE.value(version, user, hour) for user, hour in rows],
        )


def test_feature_service(store: FeatureStore) -> None:
    table = store.get_historical_features(
        entity_df([(1, 6), (2, 6)]), features=store.get_feature_service("churn")
    ).to_arrow()
    assert table.column_names == ["user_id", "event_timestamp", "embedding", "age"]
    same(vectors(table, "embedding"), [EXAMPLE.value(0, user, 6) for user in (1, 2)])


def test_on_demand_view_over_a_version_view(store: FeatureStore) -> None:
    table = store.get_historical_features(
        entity_df([(1, 6), (9, 6)]), features=["user_norm:norm"]
    ).to_arrow()
    value = EXAMPLE.value(0, 1, 6)
    assert value is not None
    first, second = table["norm"].to_pylist()
    assert first == pytest.approx(float(np.linalg.norm(value)), rel=1e-5)
    assert second is None or np.isnan(second)


def test_on_demand_view_over_a_version_view_online(store: FeatureStore) -> None:
    store.materialize(at(0), at(6), feature_views=["user_embedding_v0"])
    found = store.get_online_features(["user_norm:norm"], [{"user_id": 1}]).to_dict()
    value = EXAMPLE.value(0, 1, 6)
    assert value is not None
    assert found["norm"] == [pytest.approx(float(np.linalg.norm(value)), rel=1e-5)]


def test_join_key_map(store: FeatureStore) -> None:
    view = store.get_feature_view("user_embedding_v0")
    buyer = view.with_name("buyer").with_join_key_map({"user_id": "buyer_id"})
    seller = view.with_name("seller").with_join_key_map({"user_id": "seller_id"})
    frame = pd.DataFrame(
        {"buyer_id": [1, 2], "seller_id": [3, 1], "event_timestamp": [at(6), at(6)]}
    )
    service = FeatureService(name="pair", features=[buyer, seller])
    store.apply([service])
    table = store.get_historical_features(frame, service, full_feature_names=True).to_arrow()
    same(vectors(table, "buyer__embedding"), [EXAMPLE.value(0, u, 6) for u in (1, 2)])
    same(vectors(table, "seller__embedding"), [EXAMPLE.value(0, u, 6) for u in (3, 1)])


def test_without_entities(store: FeatureStore) -> None:
    frame = store.get_historical_features(
        features=["user_embedding_v0:embedding", "profile:age"], start_date=at(0), end_date=at(6)
    ).to_df()
    frame = frame.sort_values("user_id")
    assert frame["user_id"].tolist() == [1, 2, 3]
    assert (frame["event_timestamp"] == at(6)).all()
    same(list(frame["embedding"]), [EXAMPLE.value(0, user, 6) for user in (1, 2, 3)])


def test_without_entities_needs_views_of_one_entity(store: FeatureStore) -> None:
    with pytest.raises(ProviderError, match=r"views of one entity.*user_embedding_v0, shop_facts"):
        store.get_historical_features(
            features=["user_embedding_v0:embedding", "shop_facts:size"],
            start_date=at(0),
            end_date=at(6),
        )


def test_saved_dataset(store: FeatureStore, tmp_path: Path) -> None:
    job = store.get_historical_features(
        entity_df([(1, 6), (2, 6)]), features=["user_embedding_v0:embedding"]
    )
    storage = SavedDatasetFileStorage(path=str(tmp_path / "training_set.parquet"))
    saved = store.create_saved_dataset(job, name="training_set", storage=storage)
    frame = saved.to_df().sort_values("user_id")
    same(list(frame["embedding"]), [EXAMPLE.value(0, user, 6) for user in (1, 2)])
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        store.create_saved_dataset(job, name="again", storage=storage)
    store.create_saved_dataset(job, name="again", storage=storage, allow_overwrite=True)
    again = store.get_saved_dataset("training_set").to_df().sort_values("user_id")
    same(list(again["embedding"]), list(frame["embedding"]))


def test_entity_dataframe_is_left_alone(store: FeatureStore) -> None:
    frame = entity_df([(1, 6), (1, 6)])
    frame["event_timestamp"] = frame["event_timestamp"].dt.tz_localize(None)  # naive: UTC
    before = frame.copy()
    table = store.get_historical_features(frame, ["user_embedding_v0:embedding"]).to_arrow()
    pd.testing.assert_frame_equal(frame, before)
    same(vectors(table, "embedding"), [EXAMPLE.value(0, 1, 6)] * 2)


def test_empty_entity_dataframe(store: FeatureStore) -> None:
    frame = entity_df([(1, 6)]).iloc[:0]
    table = store.get_historical_features(frame, ["user_embedding_v0:embedding"]).to_arrow()
    assert table.num_rows == 0
    assert table["embedding"].type == pa.list_(pa.float32())


def test_missing_join_key(store: FeatureStore) -> None:
    frame = entity_df([(1, 6)]).rename(columns={"user_id": "customer"})
    with pytest.raises(FeastEntityDFMissingColumnsError, match="user_id"):
        store.get_historical_features(frame, features=["user_embedding_v0:embedding"])


def test_native_vectors_of_another_dimension(store: FeatureStore, tmp_path: Path) -> None:
    wrong = Family(dims=[2, 4], rows=[Row(1, 1, 4, (1, 2, 3, 4))])
    wrong.write(tmp_path)  # overwrites version 1's vectors, behind the registry's back
    job = store.get_historical_features(entity_df([(1, 6)]), ["user_embedding_v0:embedding"])
    with pytest.raises(DimensionError, match=r"user_embedding version 1 .*dimension 3, found 4"):
        job.to_arrow()


def test_a_plain_call_goes_straight_to_the_configured_store(
    store: FeatureStore, tmp_path: Path
) -> None:
    """Views outside families behave as with Feast's own provider."""
    frame = entity_df([(2, 6), (1, 6), (9, 6)])
    stock = make_store(tmp_path, offline=store.config.offline_store.type, provider="local")
    ours = store.get_historical_features(frame, ["profile:age"])
    theirs = stock.get_historical_features(frame, ["profile:age"])
    assert type(ours) is type(theirs)
    pd.testing.assert_frame_equal(
        ours.to_df().sort_values("user_id"), theirs.to_df().sort_values("user_id")
    )


def test_field_mapping_and_created_timestamp(tmp_path: Path) -> None:
    """A source may use other names, and break ties by when a row was created."""
    from feast_bc.catalog.versions import EmbeddingVersion
    from feast_bc.views.versioned_embedding import VersionedEmbedding

    pq.write_table(
        pa.table(
            {
                "user_id": pa.array([1, 1], pa.int64()),
                "ts": pa.array([at(1), at(1)], pa.timestamp("us", "UTC")),
                "made": pa.array([at(3), at(2)], pa.timestamp("us", "UTC")),
                "vec": pa.array([[1.0, 2.0], [8.0, 9.0]], pa.list_(pa.float32())),
            }
        ),
        tmp_path / "v0.parquet",
    )
    source = FileSource(
        path=str(tmp_path / "v0.parquet"),
        timestamp_field="ts",
        created_timestamp_column="made",
        field_mapping={"vec": "embedding"},
    )
    embedding = VersionedEmbedding(
        "user_embedding", versions=[EmbeddingVersion(0, 2, source)], entities=[USER]
    )
    store = make_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(at(0), at(5))
    online = store.get_online_features(["user_embedding_v0:embedding"], [{"user_id": 1}]).to_dict()
    assert online["embedding"] == [[1.0, 2.0]]
    table = store.get_historical_features(
        entity_df([(1, 5)]), ["user_embedding_v0:embedding"]
    ).to_arrow()
    assert table["embedding"].to_pylist() == [[1.0, 2.0]]


def test_offline_writes_go_to_the_native_source(store: FeatureStore) -> None:
    frame = pd.DataFrame({"user_id": [77], "event_timestamp": [at(2)]})
    frame["embedding"] = [np.array([7, 8], np.float32)]
    store.write_to_offline_store("user_embedding_v0", frame)
    table = store.get_historical_features(
        entity_df([(77, 3)]), ["user_embedding_v0:embedding"]
    ).to_arrow()
    assert table["embedding"].to_pylist() == [[7.0, 8.0]]


def test_schema_of_a_view(store: FeatureStore) -> None:
    view = store.get_feature_view("user_embedding_v0")
    (field,) = view.features
    assert (field.name, field.dtype, field.vector_length) == ("embedding", Array(Float32), 2)
    assert view.ttl == timedelta(0)  # Feast's way to say that there is none


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_views_that_were_applied_with_different_ttls(
    offline_store: str, order: tuple[int, int], tmp_path: Path
) -> None:
    """Each keeps its own in one call, whichever comes first."""
    store = make_store(tmp_path, offline=offline_store)
    family = Family(
        dims=[2, 3], rows=[Row(0, 1, 3, (1, 2)), Row(1, 1, 3, (1, 2, 3))], active={1: [(2, None)]}
    )
    short = replace(family, ttl_hours=3)
    store.apply([USER, *short.write(tmp_path).feature_views().values()])
    store.apply([family.write(tmp_path).view(1)])
    refs = [f"user_embedding_v{version}:embedding" for version in order]
    frame = pd.DataFrame({"user_id": [1], "event_timestamp": [at(10)]})
    table = store.get_historical_features(frame, refs, full_feature_names=True).to_arrow()
    assert table["user_embedding_v0__embedding"].to_pylist() == [None]
    assert table["user_embedding_v1__embedding"].to_pylist() == [[1, 2, 3]]
