"""What is refused as entity dataframe of version views."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from feast_bc.errors import NameCollisionError, ProviderError
from tests.support.families import EXAMPLE, USER, at, make_store
from tests.support.plain_views import plain_view

VIEW = "user_embedding_v0:embedding"
FRAME = pd.DataFrame({"user_id": [1], "event_timestamp": [at(6)]})


@pytest.fixture(scope="module", params=["duckdb", "dask"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("repo")
    store = make_store(folder, offline=request.param)
    views = EXAMPLE.write(folder).feature_views().values()
    store.apply([USER, plain_view(folder, "profile"), *views])
    return store


def test_sql_where_the_store_has_none(store: FeatureStore) -> None:
    query = "SELECT 1 AS user_id, TIMESTAMP '2026-01-01 06:00:00' AS event_timestamp"
    with pytest.raises(ProviderError, match=r"SQL, which D\w+OfflineStore does not.*\.df\(\)"):
        store.get_historical_features(query, features=[VIEW])


def test_another_kind_of_table(store: FeatureStore) -> None:
    table = pa.Table.from_pandas(FRAME)
    with pytest.raises(ProviderError, match=r"entity_df is a Table.*pandas DataFrame.*to_pandas"):
        store.get_historical_features(table, features=[VIEW])


def test_a_column_that_has_the_features_name(store: FeatureStore) -> None:
    frame = FRAME.assign(embedding=["mine"])
    with pytest.raises(NameCollisionError, match=r"column\(s\) 'embedding' already, as user_em"):
        store.get_historical_features(frame, features=[VIEW])
    whole = store.get_historical_features(frame, features=[VIEW], full_feature_names=True).to_df()
    assert list(whole.columns) == [*frame.columns, "user_embedding_v0__embedding"]
    assert whole["embedding"].tolist() == ["mine"]


def test_a_column_that_has_another_views_features_name(store: FeatureStore) -> None:
    with pytest.raises(NameCollisionError, match=r"'age' already, as profile:age"):
        store.get_historical_features(FRAME.assign(age=[1]), features=[VIEW, "profile:age"])
