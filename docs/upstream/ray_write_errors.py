"""Materialize with `ray.engine` into an online store whose table is there, and is gone."""

import logging
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from feast import FeatureStore
from small_repo import NOON, small_repo

logging.basicConfig(level=logging.ERROR)
for engine in ("local", "ray.engine"):
    for gone in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            small_repo(folder, batch_engine={"type": engine})
            with closing(sqlite3.connect(Path(folder) / "online.db")) as online:
                if gone:
                    online.execute("DROP TABLE small_stats")
                store = FeatureStore(folder)
                try:
                    store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1))
                    ended = "no error"
                except Exception as error:
                    ended = f"{type(error).__name__}: {error}"
                rows = 0 if gone else len(online.execute("SELECT * FROM small_stats").fetchall())
            noted = len(store.get_feature_view("stats").materialization_intervals)
            case = f"{engine}, table gone: {gone}"
            print(f"\n{case}: {ended}; rows: {rows}; intervals noted: {noted}")
