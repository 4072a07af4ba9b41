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

from tests.support.families import USER, Family, Row, at
from tests.support.ray_session import ray_store

FAMILY = Family(
    dims=[2, 3, 2],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(0, 4, 0, (7, 8)),
        Row(1, 1, 4, (1, 2, 3)),
        Row(1, 3, 4, (4, 5, 6)),
        Row(1, 4, 4, None),
        Row(2, 1, 7, (5, 5)),
    ],
    active={1: [(5, None)], 2: [(8, 9)]},
)
"""Every user at another version; user 4's vector of version 1 is null."""


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
    views = FAMILY.write(folder).feature_views()

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
