"""docs/existing-repo.md, run on a repo of stock Feast that has a view and the entity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from tests.support.pages import run_page

YAML = """\
project: shop
provider: local
registry: registry.db
offline_store: {type: duckdb}
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""
DEFINITIONS = """\
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float32

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
user_stats = FeatureView(
    name="user_stats",
    entities=[user],
    schema=[Field(name="spend", dtype=Float32)],
    source=FileSource(path="stats.parquet", timestamp_field="event_timestamp"),
)
"""


def test_both_kinds_of_views_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    rows = {"user_id": [1, 2, 3], "event_timestamp": pd.Timestamp("2026-01-01", tz="UTC")}
    pd.DataFrame({**rows, "spend": [1.0, 2.0, 3.0]}).to_parquet("stats.parquet")
    pd.DataFrame({**rows, "embedding": list(vectors)}).to_parquet("users_v0.parquet")
    Path("feature_store.yaml").write_text(YAML)
    Path("definitions.py").write_text(DEFINITIONS)
    run_page("docs/existing-repo.md", tmp_path)
    names = ["user_stats:spend", "user_embedding_v0:embedding"]
    served = FeatureStore(".").get_online_features(names, [{"user_id": 2}]).to_dict()
    assert served["spend"] == [2.0]
    np.testing.assert_array_equal(np.float32(served["embedding"][0]), vectors[1])
