"""Filesystems that fail, racing writers, killed publishers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import ArtifactError, CatalogError
from feast_bc.transforms import AffineTransform
from tests.support.catalogs import T0, files_of, problems, publish, tensor_file
from tests.support.links import affine


def test_an_unknown_protocol() -> None:
    with pytest.raises(CatalogError, match=r"catalog nope://bucket/x: .*Protocol not known"):
        EmbeddingCatalog("nope://bucket/x")


def test_a_missing_driver() -> None:
    assert find_spec("gcsfs") is None
    with pytest.raises(CatalogError, match=r"install gcsfs.*the fsspec driver"):
        EmbeddingCatalog("gs://bucket/x")


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    catalog = EmbeddingCatalog(tmp_path / "file")
    with pytest.raises(CatalogError, match=r"Cannot list the catalog .*is a file"):
        catalog.embeddings()
    with pytest.raises(CatalogError, match="Cannot"):
        publish(catalog, 0)


class OverwritingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """As hdfs and sftp: it creates a file that is there already."""

    protocol = "overwriting"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value, mode="overwrite", **kwargs)


def test_a_filesystem_that_creates_a_file_twice_is_refused() -> None:
    fsspec.register_implementation("overwriting", OverwritingFileSystem, clobber=True)
    catalog = EmbeddingCatalog("overwriting://bucket")
    message = r"OverwritingFileSystem created overwriting://bucket/\S+ twice.*Use a local disk, S3"
    for _ in range(2):
        with pytest.raises(CatalogError, match=message):
            publish(catalog, 0)
    assert catalog.embeddings() == []


def test_the_probe_is_no_part_of_the_catalog() -> None:
    catalog = EmbeddingCatalog(f"memory://{uuid.uuid4().hex}")
    publish(catalog, 0)
    assert any(path.endswith("/.feast-bc-exclusive") for path in files_of(catalog))
    assert catalog.embeddings() == ["user_embedding"]
    assert problems(catalog) == {}


@pytest.mark.parametrize("root", ["simplecache::s3://bucket/x", "dir::file:///tmp/x"])
def test_a_chain_of_filesystems_is_refused(root: str) -> None:
    with pytest.raises(CatalogError, match=f"Name the last one alone: {root.partition('::')[2]}"):
        EmbeddingCatalog(root)


def test_folders_last_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in a folder may be lost in a power failure until the folder is synced."""
    synced: list[str] = []
    fsync = os.fsync

    def noting(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    monkeypatch.setattr("feast_bc.catalog.files.os.fsync", noting)
    catalog = EmbeddingCatalog(tmp_path / "a" / "catalog")
    publish(catalog, 0)
    root = tmp_path / "a" / "catalog"
    embedding = root / "user_embedding"
    folders = [tmp_path, tmp_path / "a", root, embedding, embedding / "v0", embedding / "events"]
    assert {str(folder) for folder in folders} <= set(synced)
    assert synced[-1] == str(embedding / "events")


def test_a_filesystem_that_fails(local: EmbeddingCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.ls", fail)
    with pytest.raises(CatalogError, match=f"{local.root}: ConnectionError: no route to host"):
        local.versions("user_embedding")


def race(root: str, seed: int, barrier: Barrier, results: Queue[tuple[int, str]]) -> None:
    catalog = EmbeddingCatalog(root)
    transform = affine(1, 4, 3, seed=seed)
    barrier.wait()
    try:
        publish(catalog, 1, transform=transform, metrics={"seed": seed})
        results.put((seed, "won"))
    except Exception as error:
        results.put((seed, type(error).__name__))


def activate_at(root: str, hours: int, barrier: Barrier, results: Queue[tuple[int, str]]) -> None:
    catalog = EmbeddingCatalog(root)
    barrier.wait()
    try:
        catalog.activate("user_embedding", hours, T0 + timedelta(hours=hours))
        results.put((hours, "won"))
    except Exception as error:
        results.put((hours, type(error).__name__))


def run_two(target: Callable[..., None], root: str, arguments: tuple[int, int]) -> dict[int, str]:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=target, args=(root, a, barrier, results)) for a in arguments]
    for worker in workers:
        worker.start()
    outcomes = dict(results.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(timeout=60)
    return outcomes


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("attempt", range(5))
def test_of_two_racing_publishers_one_wins(tmp_path: Path, attempt: int) -> None:
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    publish(catalog, 0)
    outcomes = run_two(race, catalog.root, (1, 2))
    assert sorted(outcomes.values()) == ["VersionConflictError", "won"]
    winner = next(seed for seed, outcome in outcomes.items() if outcome == "won")
    assert catalog.version("user_embedding", 1).manifest.metrics == {"seed": winner}
    stored = catalog.transform("user_embedding", 1)
    assert isinstance(stored, AffineTransform)
    np.testing.assert_array_equal(stored.weight, affine(1, 4, 3, seed=winner).weight)
    assert problems(catalog) == {}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_racing_activations_are_both_recorded(local: EmbeddingCatalog) -> None:
    assert run_two(activate_at, local.root, (1, 2)) == {1: "won", 2: "won"}
    assert [len(v.activations) for v in local.versions("user_embedding")] == [0, 1, 1]
    assert problems(local) == {}


def test_a_killed_publish_leaves_the_catalog_as_it_was(tmp_path: Path) -> None:
    """The process dies after the tensors are written, before the manifest is."""
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    publish(catalog, 0)
    before = catalog.published("user_embedding")
    code = (
        "import os, sys\n"
        "from feast_bc.catalog.files import CatalogFiles\n"
        "from feast_bc import EmbeddingCatalog\n"
        "from tests.support.catalogs import publish\n"
        "CatalogFiles.create = lambda *_: os._exit(9)\n"
        "publish(EmbeddingCatalog(sys.argv[1]), 1)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, catalog.root],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 9
    assert tensor_file(catalog, 1).exists()
    assert catalog.published("user_embedding") == before
    assert problems(catalog) == {}
    publish(catalog, 1)
    assert len(catalog.versions("user_embedding")) == 2


def test_a_failed_write_leaves_no_debris(
    local: EmbeddingCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(local)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("feast_bc.catalog.files.os.link", fail)
    with pytest.raises(CatalogError, match="disk full"):
        local.activate("user_embedding", 1, T0)
    assert files_of(local) == before


def test_files_that_no_catalog_writes_are_not_read(tmp_path: Path) -> None:
    catalog = EmbeddingCatalog(tmp_path)
    publish(catalog, 0)
    event = tmp_path / "user_embedding" / "events" / "000002.json"
    with event.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(ArtifactError, match="has more than 16777216 bytes"):
        catalog.versions("user_embedding")
    assert "more than" in problems(catalog)["user_embedding: event log"]
    event.unlink()
    os.mkfifo(event)
    with pytest.raises(ArtifactError, match="it is no regular file"):
        catalog.versions("user_embedding")
