"""Training sets as matrices equal the job's own table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from feast_bc import historical_vectors
from feast_bc.errors import ProviderError
from tests.support.families import EXAMPLE, at
from tests.support.plain_views import served
from tests.support.presence import there


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return served(tmp_path, EXAMPLE, None)


ENTITIES = pd.DataFrame(
    {
        "user_id": [3, 9, 1, 2, 1],
        "event_timestamp": [at(hour) for hour in (6, 6, 6, 6, 2)],
        "label": [0.0, 1.0, 0.0, 1.0, 0.5],
    }
)
REFS = ["user_embedding_v0:embedding", "profile:age", "user_embedding_v1:embedding"]


def test_equal_to_the_table(store: FeatureStore) -> None:
    job = store.get_historical_features(ENTITIES, REFS, full_feature_names=True)
    found = historical_vectors(job)
    table = job.to_arrow()
    assert list(found.vectors) == ["user_embedding_v0__embedding", "user_embedding_v1__embedding"]
    for name, matrix in found.vectors.items():
        expected = table[name].to_pylist()
        assert matrix.dtype == np.float32
        assert matrix.flags.c_contiguous
        assert found.present[name].tolist() == [value is not None for value in expected]
        assert 0 < found.present[name].sum() < 5
        for row, value in zip(matrix, expected, strict=True):
            np.testing.assert_array_equal(row, np.nan if value is None else value)
    assert found.columns.equals(table.drop_columns(list(found.vectors)))
    assert found.columns["profile__age"].to_pylist() == [None, None, 30, 40, 30]


def test_short_names_and_vectors_for_all_rows(store: FeatureStore) -> None:
    entities = ENTITIES.iloc[[2, 3]]
    found = historical_vectors(store.get_historical_features(entities, REFS[:1]))
    assert found.present["embedding"].all()
    np.testing.assert_allclose(
        found.vectors["embedding"], [there(EXAMPLE.value(0, user, 6)) for user in (1, 2)], rtol=1e-6
    )


def test_no_rows(store: FeatureStore) -> None:
    found = historical_vectors(store.get_historical_features(ENTITIES.iloc[:0], REFS[:1]))
    assert found.vectors["embedding"].shape == (0, 2)


def test_jobs_without_version_views(store: FeatureStore) -> None:
    job = store.get_historical_features(ENTITIES, ["profile:age"])
    with pytest.raises(ProviderError, match="has no feature of a version view"):
        historical_vectors(job)
