"""How often a command reads and lists the catalog's files."""

import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.contracts.activation import activate_version
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.refusal import CHECKS
from feast_bc.transforms.artifact import save_artifact
from tests.support.catalogs import T0
from tests.support.links import affine

Counts = dict[str, Counter[str]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """How often each path of a memory filesystem is read, and how often a folder is listed."""
    counts: Counts = {"read": Counter(), "list": Counter()}

    def count(kind: str, method: str) -> None:
        original = getattr(MemoryFileSystem, method)

        def counting(self: MemoryFileSystem, path: str, *args: Any, **kwargs: Any) -> Any:
            if not {"wb", "xb"} & {*args, kwargs.get("mode")}:
                counts[kind][path] += 1
            return original(self, path, *args, **kwargs)

        monkeypatch.setattr(MemoryFileSystem, method, counting)

    count("read", "cat_file")
    count("read", "_open")
    count("list", "ls")
    return counts


def release(catalog: EmbeddingCatalog, folder: Path, version: int) -> None:
    """Publish a version of 4 dimensions on top of the ones before it."""
    rng = np.random.default_rng(version)
    vectors = rng.normal(size=(20, 4)).astype(np.float32)
    frame = pd.DataFrame({"user_id": range(20), "event_timestamp": T0, "embedding": list(vectors)})
    path = folder / f"v{version}.parquet"
    frame.to_parquet(path)
    artifact = folder / f"b{version}" if version else None
    if artifact:
        save_artifact(affine(version, 4, 4, seed=version), artifact)
    source = parquet_source(str(path), f"v{version}", "event_timestamp")
    publish_version(
        catalog,
        "users",
        version,
        source=source,
        artifact=artifact,
        join_keys=["user_id"],
        force=CHECKS,
    )


@pytest.mark.parametrize("version", [3, 7])
def test_publish_reads_every_file_once(tmp_path: Path, counted: Counts, version: int) -> None:
    catalog = EmbeddingCatalog(f"memory://{uuid.uuid4().hex}")
    for older in range(version):
        release(catalog, tmp_path, older)
        if older:
            activate_version(catalog, "users", older, T0, force=CHECKS)
    for counts in counted.values():
        counts.clear()
    release(catalog, tmp_path, version)
    kinds = Counter(path.rpartition(".")[2] for path in counted["read"])
    # Manifests, publications and activations; the transformations B_1, ..., B_{k-1}.
    assert kinds == {"json": 3 * version - 1, "safetensors": version - 1}
    assert set(counted["read"].values()) == {1}
    assert counted["list"].total() <= 2  # versions and events


@pytest.mark.parametrize("version", [3, 7])
def test_activate_reads_every_manifest_twice(tmp_path: Path, counted: Counts, version: int) -> None:
    catalog = EmbeddingCatalog(f"memory://{uuid.uuid4().hex}")
    for each in range(version + 1):
        release(catalog, tmp_path, each)
    for counts in counted.values():
        counts.clear()
    activate_version(catalog, "users", version, T0, force=CHECKS)
    assert set(counted["read"].values()) == {1}
    assert counted["list"].total() <= 4
