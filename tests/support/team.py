"""An embedding team at work with `feast-bc`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result
from feast import FeatureService, FeatureStore

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.commands import main
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER
from tests.support.links import affine

START = "2026-02-01T00:00:00+00:00"
DIMS = [3, 4, 5]
LINKS = {k: affine(k, DIMS[k], DIMS[k - 1], seed=k) for k in (1, 2)}


class Team:
    """Vectors and artifacts of three versions in a folder, a catalog, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = EmbeddingCatalog(folder / "catalog")
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(200, DIMS[2])).astype(np.float32)
        self.write(2, vectors)
        for k in (2, 1):
            vectors = LINKS[k].apply(vectors)
            vectors += 0.05 * rng.normal(size=vectors.shape).astype(np.float32)
            self.write(k - 1, vectors)
            save_artifact(LINKS[k], folder / f"b{k}", holdout=Holdout(0.2), metrics={"loss": 0.25})

    def write(self, version: int, vectors: np.ndarray, **columns: object) -> None:
        content = {
            "user_id": range(len(vectors)),
            "event_timestamp": pd.Timestamp("2026-01-01", tz="UTC"),
            "embedding": list(vectors),
        }
        pd.DataFrame({**content, **columns}).to_parquet(self.folder / f"v{version}.parquet")

    def run(self, *arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(
            main, arguments, env={"FEAST_BC_CATALOG": self.catalog.root, **environment}
        )

    def json(self, *arguments: str) -> tuple[Any, int]:
        """The JSON on stdout, and the exit code."""
        result = self.run(*arguments, "--json")
        return json.loads(result.stdout), result.exit_code

    def publish(self, version: int, *arguments: str) -> Result:
        options = ["--vectors", str(self.folder / f"v{version}.parquet")]
        if version:
            options += ["--transform", str(self.folder / f"b{version}")]
        else:
            options += ["--join-key", "user_id"]
        return self.run("publish", "users", str(version), *options, *arguments)

    def save_corrected(self) -> None:
        """An artifact `corrected` of B_1 that is as good as `b1`, and another one."""
        weight, bias = LINKS[1].weight, LINKS[1].bias + np.float32(1e-4)
        link = AffineTransform(weight, bias, from_version=1, to_version=0)
        save_artifact(link, self.folder / "corrected", holdout=Holdout(0.2))

    def publish_all(self) -> None:
        for version in range(3):
            assert self.publish(version).exit_code == 0

    def apply(self, serving: Serving = "materialized", rollbacks: int = 1) -> Path:
        """A repo with the three versions, of which the last two are active, and consumers."""
        self.publish_all()
        for version in ("1", "2"):
            assert self.run("activate", "users", version, "--from", START).exit_code == 0
        repo = self.folder / "repo"
        repo.mkdir()
        config = {
            "project": "test",
            "provider": "feast_bc.BackwardCompatibleProvider",
            "registry": str(repo / "registry.db"),
            "offline_store": {"type": "duckdb"},
            "online_store": {"type": "sqlite", "path": str(repo / "online.db")},
            "entity_key_serialization_version": 3,
        }
        (repo / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
        embedding = VersionedEmbedding.from_catalog(
            self.catalog, "users", entities=[USER], serving=serving, rollback_versions=rollbacks
        )
        views = embedding.feature_views()
        consumers = [
            FeatureService(name=f"{name}_model", features=[views[f"users_v{version}"]])
            for name, version in (("churn", 0), ("ranking", 0), ("search", 1))
        ]
        FeatureStore(str(repo)).apply([USER, *views.values(), *consumers])
        return repo
