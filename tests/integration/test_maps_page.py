"""docs/maps.md: its Python runs as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.publish import publish_version
from feast_bc.transforms.artifact import load_artifact
from tests.support.catalogs import T0
from tests.support.pages import run_page
from tests.support.pairs import normal


def test_the_python_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    behaviour, users = normal(500, 6), np.arange(500)
    z_old = behaviour @ normal(6, 6, seed=1)
    frame = pd.DataFrame({"user_id": users, "event_timestamp": T0, "embedding": list(z_old)})
    frame.to_parquet("v0.parquet")
    publish_version(
        EmbeddingCatalog("data/catalog"),
        "user_embedding",
        0,
        source=parquet_source("v0.parquet", "v0", "event_timestamp"),
        join_keys=["user_id"],
    )
    namespace: dict[str, Any] = {
        "users": users,
        "old_users": users[:400],
        "z_new": behaviour @ normal(6, 8, seed=2),
        "z_old": z_old,
        "churn_model": _perceptron(),
    }
    run_page("docs/maps.md", tmp_path, namespace)
    transform, _ = load_artifact("runs/next")
    assert (transform.from_version, transform.to_version) == (1, 0)
    assert namespace["again"].report.centred_error < 0.01
    served = namespace["distilled"].apply(namespace["z_new"].astype(np.float32))
    np.testing.assert_allclose(served, z_old, atol=0.05)


def _perceptron() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)).eval()
