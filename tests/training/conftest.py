"""A small shop whose customers have a taste and a budget."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from training.interactions.interactions import Interactions, load


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # tiny matrices: more threads only wait for each other


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    """12,000 purchases of 300 users from 80 items; a user's taste decides item and price."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(300, 4))
    kind = rng.normal(size=(80, 4))
    weight = np.exp(taste @ kind.T)
    weight /= weight.sum(axis=1, keepdims=True)
    users = rng.integers(0, 300, 12_000)
    items = np.array([rng.choice(80, p=weight[user]) for user in users])
    start = np.datetime64("2024-01-01T00:00:00", "us")
    table = pa.table(
        {
            "user_id": users + 1000,
            "item_id": [f"item-{i}" for i in items],
            "timestamp": start + np.arange(12_000) * np.timedelta64(1, "h"),
            "quantity": np.ones(12_000, np.int64),
            "unit_price": np.exp(taste[users, 0]),
        }
    )
    path = tmp_path_factory.mktemp("shop") / "purchases.parquet"
    pq.write_table(table, path)
    return load(path)
