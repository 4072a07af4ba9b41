"""What is applied goes on from what the registry has: over a real catalog, registry and store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore
from feast.repo_config import RegistryConfig

from feast_bc import EmbeddingCatalog, VersionedEmbedding
from feast_bc.errors import LineageError
from feast_bc.transforms import AffineTransform
from feast_bc.views.lineage import ACCEPT, head
from feast_bc.views.serving import Serving
from tests.support.families import EXAMPLE, USER, at, make_store, offline, online, same

NAME = "user_embedding"
CORRECTED = AffineTransform(np.full((2, 3), 2.0), from_version=1, to_version=0)


def fill(catalog: EmbeddingCatalog, folder: Path, versions: int = 2) -> None:
    """Publish the example's versions."""
    for member in EXAMPLE.write(folder).versions[:versions]:
        catalog.publish(
            NAME,
            member.version,
            source=member.source,
            dim=member.dim,
            join_keys=["user_id"],
            transform=EXAMPLE.transforms[member.version - 1] if member.version else None,
        )


class Repo:
    """A store, and definitions that read a catalog."""

    def __init__(self, folder: Path, serving: Serving = "materialized") -> None:
        self.folder = folder
        self.catalog = EmbeddingCatalog(folder / "catalog")
        self.serving = serving
        fill(self.catalog, folder)

    @property
    def store(self) -> FeatureStore:
        return make_store(self.folder)

    def definitions(self) -> list[Any]:
        family = VersionedEmbedding.from_catalog(
            self.catalog, NAME, entities=[USER], serving=self.serving
        )
        return [USER, *family.feature_views().values()]

    def refused(self, definitions: list[Any], message: str) -> None:
        """`store.apply` and `feast apply` refuse, and the registry stays."""
        before = (self.folder / "registry.db").read_bytes()
        with pytest.raises(LineageError, match=message):
            self.store.apply(definitions)
        store = self.store
        with pytest.raises(LineageError, match=message):
            store._get_provider().validate_data_source(store.config, definitions[1].batch_source)
        assert (self.folder / "registry.db").read_bytes() == before


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path)


def test_definitions_that_were_read_before_a_change(repo: Repo) -> None:
    stale = repo.definitions()
    repo.catalog.activate(NAME, 1, at(5))
    repo.store.apply(repo.definitions())
    repo.refused(stale, "read before an activation.*run `feast apply` again")
    repo.store.apply(repo.definitions())
    repo.store.apply(repo.definitions()[:2])  # a part of the views
    repo.catalog.retire(NAME, 0)
    views = repo.definitions()
    assert [view.name for view in views[1:]] == ["user_embedding_v1"]
    repo.store.apply(views)
    repo.catalog.unretire(NAME, 0)
    repo.store.apply(repo.definitions())


def test_a_catalog_restored_from_before_a_rollback(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.catalog.activate(NAME, 1, at(5))
    shutil.copytree(repo.catalog.root, repo.folder / "backup")
    repo.catalog.rollback(NAME, at=at(6))
    repo.store.apply(repo.definitions())
    shutil.rmtree(repo.catalog.root)
    shutil.copytree(repo.folder / "backup", repo.catalog.root)
    repo.refused(repo.definitions(), "restored from a backup older than the registry")
    repo.catalog.rollback(NAME, at=at(6))
    again = repo.definitions()
    repo.refused(again, "another one than the registry knows")
    monkeypatch.setenv(ACCEPT, f"{NAME}@{head(again[1].batch_source)}")
    repo.store.apply(again)
    monkeypatch.delenv(ACCEPT)
    repo.store.apply(repo.definitions())


def test_a_catalog_that_was_lost_and_filled_anew(repo: Repo) -> None:
    repo.store.apply(repo.definitions())
    shutil.rmtree(repo.catalog.root)
    (repo.folder / "other").mkdir()
    fill(repo.catalog, repo.folder / "other")
    repo.refused(repo.definitions(), "its numbers used again")


def test_a_withdrawn_number_goes_on(repo: Repo) -> None:
    repo.store.apply(repo.definitions())
    repo.catalog.withdraw(NAME, 1)
    repo.store.apply(repo.definitions())
    (repo.folder / "other").mkdir()
    member = EXAMPLE.write(repo.folder / "other").versions[1]
    repo.catalog.publish(
        NAME, 1, source=member.source, dim=3, join_keys=["user_id"], transform=CORRECTED
    )
    repo.store.apply(repo.definitions())


def test_a_registry_of_a_relative_path(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the process stands."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    stale = repo.definitions()
    repo.catalog.activate(NAME, 1, at(5))
    registry = RegistryConfig(path="registry.db")
    for definitions in (repo.definitions(), stale):
        config = make_store(tmp_path, registry=registry).config
        store = FeatureStore(str(tmp_path), config=config)
        if definitions is stale:
            with pytest.raises(LineageError):
                store.apply(definitions)
        else:
            store.apply(definitions)
    assert (tmp_path / "registry.db").exists()
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_a_relink_reaches_what_is_read(serving: Serving, tmp_path: Path) -> None:
    repo = Repo(tmp_path, serving)
    repo.catalog.activate(NAME, 1, at(5))
    repo.store.apply(repo.definitions())
    repo.store.materialize(at(0), at(6))
    before = online(repo.store, "user_embedding_v0", [1, 2, 3])
    same(before, [EXAMPLE.value(0, user, 6) for user in (1, 2, 3)])
    repo.catalog.relink(NAME, 1, CORRECTED)
    repo.store.apply(repo.definitions())
    expected = [np.array([12, 12]), EXAMPLE.value(0, 2, 6), np.array([30, 30])]
    same(offline(repo.store, "user_embedding_v0", [1, 2, 3], [6] * 3), expected)
    if serving == "materialized":
        same(online(repo.store, "user_embedding_v0", [1, 2, 3]), before)  # until the next run
        repo.store.materialize_incremental(at(7))
    same(online(repo.store, "user_embedding_v0", [1, 2, 3]), expected)
    native = [EXAMPLE.value(1, user, 6) for user in (1, 2, 3)]
    same(online(repo.store, "user_embedding_v1", [1, 2, 3]), native)
