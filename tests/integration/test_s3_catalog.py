"""A catalog on an S3 server, which every process finds by its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, local

import fsspec
import numpy as np
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.files import CatalogFiles
from feast_bc.errors import CatalogError, VersionConflictError
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from tests.support.aws_server import CREDENTIALS, s3_server
from tests.support.catalogs import problems, publish
from tests.support.families import EXAMPLE
from tests.support.links import affine
from tests.support.races import race

ROOT = Path(__file__).parents[2]
PUBLISHER = """
from feast_bc.cli.commands import main

for command in (
    "publish user_embedding 0 --vectors v0.parquet --join-key user_id",
    "publish user_embedding 1 --vectors v1.parquet --transform b1 --force unmeasured",
    "activate user_embedding 1 --from 2026-01-01T05:00:00Z --force unmeasured",
    "verify",
):
    assert not main(command.split(), standalone_mode=False), command
"""

OPERATOR = """
import os
from pathlib import Path
from feast_bc import EmbeddingCatalog, VersionedEmbedding
from tests.support.families import USER, at, make_store

catalog = EmbeddingCatalog(os.environ["FEAST_BC_CATALOG"])
family = VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=[USER])
store = make_store(Path.cwd())
store.apply([USER, *family.feature_views().values()])
store.materialize(at(0), at(6))
"""

CONSUMER = """
from pathlib import Path
from tests.support.families import EXAMPLE, make_store, offline, online, same

store = make_store(Path.cwd())
expected = [EXAMPLE.value(0, user, 6) for user in (1, 2, 3)]
same(online(store, "user_embedding_v0", [1, 2, 3]), expected)
same(offline(store, "user_embedding_v0", [1, 2, 3], [6, 6, 6]), expected)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def here(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as its environment would configure it, had it been set before the start."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": endpoint})


def test_a_release_from_publish_to_the_consumers_read(endpoint: str, tmp_path: Path) -> None:
    EXAMPLE.write(tmp_path)
    save_artifact(EXAMPLE.transforms[0], tmp_path / "b1")
    (tmp_path / "fsspec").mkdir()
    (tmp_path / "fsspec" / "s3.json").write_text(json.dumps({"s3": {"endpoint_url": endpoint}}))
    by_variable = {"FSSPEC_S3_ENDPOINT_URL": endpoint}
    by_file = {"FSSPEC_CONFIG_DIR": str(tmp_path / "fsspec")}

    for code, settings in (PUBLISHER, by_variable), (OPERATOR, by_file), (CONSUMER, by_variable):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={
                **os.environ,
                **CREDENTIALS,
                **settings,
                "FEAST_BC_CATALOG": "s3://embeddings/release",
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("here")
def test_of_two_racing_publishers_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    root = "s3://embeddings/race"
    publish(EmbeddingCatalog(root), 0)
    both_are_about_to_commit = Barrier(2, timeout=60)
    create, waiting = CatalogFiles.create, local()

    def create_together(files: CatalogFiles, path: str, data: bytes) -> None:
        if not hasattr(waiting, "done"):  # the loser tries again
            waiting.done = True
            both_are_about_to_commit.wait()
        create(files, path, data)

    def outcome(seed: int) -> str:
        try:
            publish(EmbeddingCatalog(root), 1, transform=affine(1, 4, 3, seed=seed))
        except VersionConflictError:
            return "conflict"
        return "won"

    monkeypatch.setattr(CatalogFiles, "create", create_together)
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(outcome, (1, 2)))
    assert sorted(outcomes) == ["conflict", "won"]
    catalog = EmbeddingCatalog(root)
    winner = affine(1, 4, 3, seed=1 + outcomes.index("won"))
    stored = catalog.transform("user_embedding", 1)
    assert isinstance(stored, AffineTransform)
    np.testing.assert_array_equal(stored.weight, winner.weight)
    assert problems(catalog) == {}


@pytest.mark.usefixtures("here")
def test_a_file_that_was_created_since_its_folder_was_listed() -> None:
    mine, theirs = CatalogFiles("s3://embeddings/listed"), CatalogFiles("s3://embeddings/listed")
    mine.put("a/1", b"1")
    assert mine.list("a") == ["1"]
    fsspec.filesystem("s3", skip_instance_cache=True).pipe_file("embeddings/listed/a/2", b"2")
    with pytest.raises(FileExistsError):
        theirs.create("a/2", b"3")
    assert mine.read("a/2") == b"2"


def test_eight_processes(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "FSSPEC_S3_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": endpoint})
    race("s3://embeddings/eight", processes=8, versions=3)


@pytest.mark.usefixtures("here")
def test_an_empty_and_an_enormous_file() -> None:
    catalog = EmbeddingCatalog("s3://embeddings/sizes")
    publish(catalog, 0)
    catalog.files.put("user_embedding/events/000002.json", b"")
    assert "user_embedding: event log" in problems(catalog)
    catalog.files.put("user_embedding/events/000002.json", b" " * (2**24 + 1))
    assert "more than 16777216 bytes" in problems(catalog)["user_embedding: event log"]


@pytest.mark.usefixtures("here")
def test_a_bucket_that_does_not_exist() -> None:
    with pytest.raises(CatalogError, match=r"Cannot write the catalog s3://nowhere/x"):
        publish(EmbeddingCatalog("s3://nowhere/x"), 0)
