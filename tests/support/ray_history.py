"""A small history of vectors, and a store over Ray that serves it beside views of other kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from tests.support.families import HISTORY, USER, at
from tests.support.ray_session import ray_store


def history_store(folder: Path) -> FeatureStore:
    """The family's views, a view `profile`, and one on demand on top of version 0."""
    ages = pa.table(
        {
            "user_id": pa.array([1, 2], pa.int64()),
            "event_timestamp": pa.array([at(0), at(2)], pa.timestamp("us", "UTC")),
            "age": pa.array([30, 40], pa.int64()),
        }
    )
    pq.write_table(ages, folder / "profile.parquet")
    profile = FeatureView(
        name="profile",
        entities=[USER],
        schema=[Field(name="user_id", dtype=Int64), Field(name="age", dtype=Int64)],
        source=FileSource(
            name="profile",
            path=str(folder / "profile.parquet"),
            timestamp_field="event_timestamp",
        ),
    )
    views = HISTORY.write(folder).feature_views()

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[views["user_embedding_v0"]],
        schema=[Field(name="norm", dtype=Float64)],
        mode="pandas",
    )
    def user_norm(inputs: pd.DataFrame) -> pd.DataFrame:
        norms = [np.nan if v is None else float(np.linalg.norm(v)) for v in inputs["embedding"]]
        found: pd.DataFrame = pd.DataFrame({"norm": norms})
        return found

    made = ray_store(folder)
    made.apply([USER, profile, *views.values(), user_norm])
    return made
