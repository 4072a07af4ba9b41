"""SECURITY.md: its commands sign a version, and ask for the signature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feast_bc import AffineTransform, EmbeddingCatalog, save_artifact
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.publish import publish_version
from tests.support.catalogs import T0
from tests.support.pages import run_page
from tests.support.pairs import normal


def test_signed_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    catalog = EmbeddingCatalog("catalog")
    rows = {"user_id": range(300), "event_timestamp": T0, "embedding": list(normal(300, 3))}
    for k in range(4):
        pd.DataFrame(rows).to_parquet(f"v{k}.parquet")
        if k:
            same = AffineTransform(np.eye(3), from_version=k, to_version=k - 1)
            save_artifact(same, f"runs/v{k}")
        if k < 3:
            publish_version(
                catalog,
                "user_embedding",
                k,
                source=parquet_source(f"v{k}.parquet", f"v{k}", "event_timestamp"),
                artifact=Path(f"runs/v{k}") if k else None,
                join_keys=["user_id"],
            )
    run_page("SECURITY.md", tmp_path)
    assert catalog.versions("user_embedding")[3].activations[-1].active_until is None
