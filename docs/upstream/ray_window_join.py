"""The same retrieval by Ray's two joins: below and above `broadcast_join_threshold_mb`."""

import tempfile
from datetime import timedelta

import numpy as np
import pandas as pd
from small_repo import NOON, small_repo

OTHERS = 100_000
"""Rows of another driver, which only make the feature data larger than a MiB."""

rows = pd.DataFrame({"driver_id": np.ones(OTHERS + 1, int), "rate": np.float32(0.5), "ts": NOON})
rows.loc[0, "driver_id"] = 0
asked = pd.DataFrame(
    {
        "driver_id": [0, 0],
        "event_timestamp": [NOON + timedelta(minutes=30), NOON + timedelta(minutes=90)],
    }
)
for threshold in (100, 1):
    with tempfile.TemporaryDirectory() as folder:
        ray = {"type": "ray", "storage_path": folder, "broadcast_join_threshold_mb": threshold}
        store = small_repo(folder, rows, offline_store=ray)
        found = store.get_historical_features(asked, ["stats:rate"]).to_df()
        found = found.sort_values("event_timestamp")
        print(f"\nbroadcast_join_threshold_mb: {threshold}")
        print(found[["driver_id", "event_timestamp", "rate"]].to_string(index=False))
