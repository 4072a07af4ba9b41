"""A copy of `feature_repo/` with a small catalog of user and item embeddings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FileSource

from feast_bc import AffineTransform, EmbeddingCatalog
from tests.support.pages import without_training

ROOT = Path(__file__).parents[2]
KEYS = {
    "user_embedding": ("user_id", pa.array([1, 2, 3], pa.int64())),
    "item_embedding": ("item_id", pa.array(["a", "b"])),
}
DIMS = (2, 3, 4)
COMPUTED = [datetime(2026, month, 1, tzinfo=timezone.utc) for month in (1, 2, 3)]


class Repo:
    """A feature repo in a folder of its own, and the real `feast` command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "feature_repo"
        shutil.copytree(
            ROOT / "feature_repo", self.folder, ignore=shutil.ignore_patterns("data", "__pycache__")
        )
        (self.folder / "data").mkdir()
        self.catalog = EmbeddingCatalog(self.folder / "data" / "catalog")
        self.rng = np.random.default_rng(0)
        self.vectors: dict[tuple[str, int], np.ndarray] = {}

    def publish(self, version: int, *, active: bool = False) -> None:
        """Publish a version of both embeddings, made of random numbers."""
        for embedding, (key, ids) in KEYS.items():
            vectors = self.rng.normal(size=(len(ids), DIMS[version])).astype(np.float32)
            self.vectors[embedding, version] = vectors
            path = self.folder / "data" / f"{embedding}_v{version}.parquet"
            stamps = pa.array([COMPUTED[version]] * len(ids), pa.timestamp("us", "UTC"))
            table = {key: ids, "event_timestamp": stamps, "embedding": pa.array(list(vectors))}
            pq.write_table(pa.table(table), path)
            transform = None
            if version:
                weight = self.rng.normal(size=(DIMS[version - 1], DIMS[version]))
                transform = AffineTransform(weight, from_version=version, to_version=version - 1)
            self.catalog.publish(
                embedding,
                version,
                source=FileSource(
                    name=f"{embedding}_v{version}_vectors",
                    path=str(path),
                    timestamp_field="event_timestamp",
                ),
                dim=DIMS[version],
                join_keys=[key],
                transform=transform,
            )
            if active:
                self.catalog.activate(embedding, version, COMPUTED[version])

    def expected(self, embedding: str, view: int, newest: int) -> np.ndarray:
        """The newest version's vectors in the space of a view."""
        vectors = self.vectors[embedding, newest]
        for version in range(newest, view, -1):
            vectors = self.catalog.transform(embedding, version).apply(vectors)
        return vectors

    def feast(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the real command in the repo."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("feast")), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=check,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "FEAST_BC_CATALOG": self.catalog.root,
            "FEAST_USAGE": "False",
            "PYTHONPATH": without_training(),
            "PYTHONWARNINGS": "ignore",
        }
