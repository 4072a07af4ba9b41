"""Materialize with `ray.engine` into an online store whose table is gone."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from feast import FeatureStore
from small_repo import NOON, small_repo

for engine in ("local", "ray.engine"):
    with tempfile.TemporaryDirectory() as folder:
        small_repo(folder, batch_engine={"type": engine})
        with closing(sqlite3.connect(Path(folder) / "online.db")) as online:
            online.execute("DROP TABLE small_stats")
        store = FeatureStore(folder)
        try:
            store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1))
            ended = "no error"
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
        written = store.get_feature_view("stats").materialization_intervals
        print(f"\n{engine}: {ended}; intervals that the registry has as written: {len(written)}")
