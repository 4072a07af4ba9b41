"""Commands that are killed at any of their file operations, and many that race."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import (
    CatalogError,
    DimensionError,
    DirectionError,
    UnknownVersionError,
    VersionConflictError,
)
from tests.support.catalog_kills import COMMANDS, kill_everywhere
from tests.support.catalogs import T0, files_of, problems, publish
from tests.support.links import affine
from tests.support.presence import there
from tests.support.races import race

NAME = "user_embedding"
CORRECTED = affine(1, 4, 3, seed=9)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_at_any_file_operation(command: str, tmp_path: Path) -> None:
    assert kill_everywhere(command, tmp_path)


def test_a_relink(catalog: EmbeddingCatalog) -> None:
    for version in range(3):
        publish(catalog, version)
    catalog.activate(NAME, 2, T0)
    before = catalog.published(NAME)
    files = files_of(catalog)
    change = catalog.relink(NAME, 1, CORRECTED)
    assert change.changed
    after = catalog.published(NAME)
    assert after[1] == change.published
    assert repr(there(after[1].transform).load()) == repr(CORRECTED)
    assert there(after[1].transform).sha256 != there(before[1].transform).sha256
    assert after[1].replaced_transform == there(before[1].transform).sha256
    assert [after[0], after[2]] == [before[0], before[2]]
    assert files.items() <= files_of(catalog).items()  # nothing was written over
    old, new = (listed[1].as_embedding_version() for listed in (before, after))
    assert (old.digest == new.digest, old.native_digest == new.native_digest) == (False, True)
    back = catalog.relink(NAME, 1, there(before[1].transform).load())
    assert (back.changed, catalog.versions(NAME)[1].digest) == (True, old.digest)
    assert problems(catalog) == {}


@pytest.mark.parametrize(
    ("version", "transform", "error", "message"),
    [
        (0, affine(1, 4, 3), DirectionError, "is the oldest"),
        (1, affine(2, 5, 4), DirectionError, "expected a transformation 1 -> 0"),
        (1, affine(1, 4, 2), DimensionError, "4 -> 3"),
        (1, affine(1, 5, 3), DimensionError, "4 -> 3"),
        (7, affine(7, 4, 3), UnknownVersionError, "no version 7"),
    ],
)
def test_a_relink_that_does_not_fit(
    local: EmbeddingCatalog, version: int, transform: Any, error: type[Exception], message: str
) -> None:
    before = files_of(local)
    with pytest.raises(error, match=message):
        local.relink(NAME, version, transform)
    assert files_of(local) == before


def test_a_withdrawn_number_is_used_again(catalog: EmbeddingCatalog) -> None:
    for version in range(3):
        publish(catalog, version)
    catalog.retire(NAME, 2)
    catalog.relink(NAME, 2, affine(2, 5, 4, seed=8))
    before, files = catalog.version(NAME, 2), files_of(catalog)
    withdrawn = catalog.withdraw(NAME, 2)
    assert (withdrawn.published, withdrawn.changed) == (before, True)
    assert [v.version for v in catalog.versions(NAME)] == [0, 1]
    again = publish(catalog, 2, dim=6, transform=affine(2, 6, 4))
    assert again.changed
    now = catalog.versions(NAME)[2]
    assert (now.dim, now.retired, now.replaced_transform) == (6, False, "")
    assert now.native_digest != before.as_embedding_version().native_digest
    assert [event.event for event in catalog.version(NAME, 2).events] == ["publish"]
    assert files.items() <= files_of(catalog).items()
    catalog.withdraw(NAME, 2)
    publish(catalog, 2)  # the first one again
    assert problems(catalog) == {}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (0, "version 2 stands on it. Correct its transformation with `feast-bc relink`"),
        (2, "it was activated, so views may hold its vectors"),
        (5, "no version 5"),
    ],
)
def test_what_cannot_be_withdrawn(local: EmbeddingCatalog, version: int, message: str) -> None:
    local.activate(NAME, 2, T0)
    local.rollback(NAME, at=T0)
    before = files_of(local)
    with pytest.raises(CatalogError, match=message):
        local.withdraw(NAME, version)
    assert files_of(local) == before


def test_everything_may_be_withdrawn(local: EmbeddingCatalog) -> None:
    for version in (2, 1, 0):
        local.withdraw(NAME, version)
    assert local.embeddings() == []
    assert not local.withdraw(NAME, 0).changed
    with pytest.raises(UnknownVersionError, match="Publish version 0"):
        local.versions(NAME)
    publish(local, 0)
    assert local.embeddings() == [NAME]
    assert problems(local) == {}


def test_what_was_measured_may_be_out_of_date(local: EmbeddingCatalog) -> None:
    """Nothing is published on, or activated as, what it was not measured with."""
    known = local.shelf(NAME)
    local.relink(NAME, 1, CORRECTED)
    oldest = known.versions[0].manifest.source
    message = r"relinked meanwhile.*run the command"
    with pytest.raises(VersionConflictError, match=message):
        local.publish(
            NAME,
            3,
            source=oldest,
            dim=5,
            join_keys=["user_id"],
            transform=affine(3, 5, 5),
            known=known,
        )
    with pytest.raises(VersionConflictError, match=message):
        local.relink(NAME, 2, affine(2, 5, 4, seed=7), known=known)
    known = local.shelf(NAME)
    local.withdraw(NAME, 2)
    with pytest.raises(VersionConflictError, match="version 2 was withdrawn meanwhile"):
        local.relink(NAME, 2, affine(2, 5, 4, seed=7), known=known)


def test_unretire(local: EmbeddingCatalog) -> None:
    local.retire(NAME, 0)
    assert local.unretire(NAME, 0).changed
    assert not local.version(NAME, 0).retired
    assert not local.unretire(NAME, 0).changed
    with pytest.raises(UnknownVersionError, match="no version 7"):
        local.unretire(NAME, 7)


def test_eight_processes_on_a_local_disk(tmp_path: Path) -> None:
    outcomes = race(str(tmp_path / "catalog"), processes=8, versions=12)
    assert sum(bool(done) for done in outcomes.values()) > 1
