"""A repository of stock Feast with one view, for the scripts beside it."""

from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def small_repo(folder: str, frame: pd.DataFrame | None = None, **config: object) -> FeatureStore:
    """Apply a view `stats` with a feature `rate`; drivers 1 and 2 have a row at noon.

    Args:
        folder: becomes the repository.
        frame: other rows: driver_id, rate, ts.
        config: lines of `feature_store.yaml` that differ from a local repository.
    """
    lines = {
        "project": "small",
        "provider": "local",
        "registry": "registry.db",
        "online_store": {"type": "sqlite", "path": "online.db"},
        "offline_store": {"type": "dask"},
        "entity_key_serialization_version": 3,
    }
    (Path(folder) / "feature_store.yaml").write_text(yaml.safe_dump(lines | config))
    if frame is None:
        frame = pd.DataFrame({"driver_id": [1, 2], "rate": [0.5, 0.25], "ts": [NOON, NOON]})
    frame.to_parquet(Path(folder) / "rows.parquet")
    source = FileSource(path=str(Path(folder) / "rows.parquet"), timestamp_field="ts")
    driver = Entity(name="driver_id", value_type=ValueType.INT64)
    schema = [Field(name="driver_id", dtype=Int64), Field(name="rate", dtype=Float32)]
    store = FeatureStore(folder)
    store.apply(
        [driver, FeatureView(name="stats", entities=[driver], schema=schema, source=source)]
    )
    return store
