"""docs/maps.md: its Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.publish import publish_version
from feast_bc.transforms.artifact import load_artifact
from tests.support.catalogs import T0
from tests.support.pairs import normal

PAGE = (Path(__file__).parents[2] / "docs" / "maps.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


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
    }
    assert len(BLOCKS) == 2
    for block in BLOCKS:
        exec(compile(block, "docs/maps.md", "exec"), namespace)  # noqa: S102 - our own page
    transform, _ = load_artifact("runs/next")
    assert (transform.from_version, transform.to_version) == (1, 0)
    assert namespace["again"].report.centred_error < 0.01
