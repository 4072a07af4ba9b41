"""Feature views that are no version of anything, alone and beside an embedding's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.types import Int64

from tests.support.families import USER, Family, at, make_store
from tests.support.schedules import apply


def plain_view(folder: Path, name: str) -> FeatureView:
    pq.write_table(
        pa.table(
            {
                "user_id": pa.array([1, 2], pa.int64()),
                "event_timestamp": pa.array([at(0), at(1)], pa.timestamp("us", "UTC")),
                "age": pa.array([30, 40], pa.int64()),
            }
        ),
        folder / f"{name}.parquet",
    )
    return FeatureView(
        name=name,
        entities=[USER],
        schema=[Field(name="user_id", dtype=Int64), Field(name="age", dtype=Int64)],
        source=FileSource(path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp"),
    )


def served(folder: Path, family: Family, online_store: dict[str, object] | None) -> FeatureStore:
    """A store with the family's views and a plain one, materialized."""
    store = make_store(folder, online=online_store)
    store.apply([USER, plain_view(folder, "profile")])
    apply(store, family, folder)
    store.materialize(at(-1), at(6))
    return store
