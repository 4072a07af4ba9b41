"""docs/search.md: what it shows runs as it stands, in one feature repo."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from feast import FeatureStore

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.commands import main
from feast_bc.cli.repo_source import parquet_source
from feast_bc.columns.instants import to_micros
from feast_bc.publishing.publish import publish_version
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.catalogs import T0
from tests.support.families import USER
from tests.support.pairs import normal

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINK = AffineTransform(normal(4, 6, seed=1), normal(4, seed=2), from_version=1, to_version=0)


def append(version: int, vectors: dict[int, Any], day: int) -> None:
    """Write native rows, over what stands there."""
    path = Path(f"native{version}.parquet")
    rows = pd.DataFrame(
        {
            "user_id": list(vectors),
            "event_timestamp": T0 + timedelta(days=day),
            "embedding": list(vectors.values()),
        }
    )
    pd.concat([*([pd.read_parquet(path)] if path.exists() else []), rows]).to_parquet(path)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a feature repo whose version 1 serves version 0, materialized."""
    monkeypatch.chdir(tmp_path)
    new = normal(50, 6)
    append(0, dict(enumerate(LINK.apply(new))), 0)
    append(1, dict(enumerate(new)), 1)
    catalog = EmbeddingCatalog("catalog")
    save_artifact(LINK, "b1")
    for version, artifact, keys in ((0, None, ["user_id"]), (1, "b1", None)):
        publish_version(
            catalog,
            "user_embedding",
            version,
            source=parquet_source(f"native{version}.parquet", f"v{version}", "event_timestamp"),
            artifact=artifact,
            join_keys=keys,
        )
    catalog.activate("user_embedding", 1, active_from=T0 + timedelta(days=2))
    config = {
        "project": "test",
        "provider": "feast_bc.BackwardCompatibleProvider",
        "registry": "registry.db",
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": "online.db"},
        "entity_key_serialization_version": 3,
    }
    Path("feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    store = FeatureStore(".")
    embedding = VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=[USER])
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(T0 - timedelta(days=1), T0 + timedelta(days=3))
    return tmp_path


def nearest(index: Any, query: list[float]) -> int:
    _, users = index.search(np.array([query], np.float32), 1)
    return int(users[0][0])


def test_the_page(repo: Path) -> None:
    namespace: dict[str, Any] = {}
    asked = [0.4, -0.7, 0.2, 0.1]
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds == ["python", "console", "python", "console", "python"]
    day = 3
    for kind, block in BLOCKS:
        if kind == "console":
            with patch("feast_bc.clock.now", return_value=to_micros(T0 + timedelta(days=day))):
                done = CliRunner().invoke(main, shlex.split(block.removeprefix("$ feast-bc ")))
            assert done.exit_code == 0, done.output
        else:
            exec(compile(block, "docs/search.md", "exec"), namespace)  # noqa: S102 - our own page
        if kind == "console" and day == 3:
            # A night later version 1 has vectors of a new user, of user 7, and none of user 8.
            point = np.linalg.pinv(LINK.weight) @ (np.array(asked) - LINK.bias)
            append(1, {500: point, 7: normal(6, seed=5), 8: None}, 4)
            append(0, {8: None}, 4)
            day = 5
        elif kind == "python" and "index" in namespace and "changes" not in namespace:
            assert namespace["index"].ntotal == 50
            assert nearest(namespace["index"], asked) == namespace["nearest"][0][1]
    index = namespace["index"]
    assert namespace["told"]["complete"] is False
    assert index.ntotal == 50  # one came, one went
    assert nearest(index, asked) == 500
    value = LINK.apply(normal(6, seed=5)[None])[0]
    assert nearest(index, value.tolist()) == 7
