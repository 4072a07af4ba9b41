"""The durable list of versions: publish, activate, roll back, retire."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import (
    CatalogError,
    ChainGapError,
    DimensionError,
    DirectionError,
    UnknownVersionError,
    VersionConflictError,
)
from feast_bc.rule import Activation
from feast_bc.transforms import compose
from feast_bc.transforms.holdout import Holdout
from tests.support.catalogs import LINKS, T0, files_of, publish, source
from tests.support.links import affine
from tests.support.presence import there


def test_publish_and_read_back(catalog: EmbeddingCatalog) -> None:
    assert catalog.embeddings() == []
    tagged = source(0, tags={"team": "a"}, field_mapping={"vec": "embedding"})
    publish(catalog, 0, source=tagged, metrics={"recall": 0.4})
    publish(catalog, 1, holdout=Holdout(0.2))
    assert catalog.embeddings() == ["user_embedding"]
    zero, one = catalog.versions("user_embedding")
    assert (zero.version, zero.dim, zero.transform, zero.source) == (0, 3, None, tagged)
    assert (one.version, one.dim, one.feature, one.retired) == (1, 4, "embedding", False)
    assert repr(there(one.transform).load()) == repr(LINKS[1])
    listed = catalog.published("user_embedding")
    assert listed[0].manifest.metrics == {"recall": 0.4}
    assert listed[1].manifest.parent == listed[0].sha256
    assert listed[1].manifest.holdout == Holdout(0.2)
    assert all(check.ok for check in catalog.verify())


def test_publishing_the_same_again_changes_nothing(catalog: EmbeddingCatalog) -> None:
    first = publish(catalog, 0, metrics={"a": 1, "b": [1, 2]})
    before = files_of(catalog)
    again = publish(catalog, 0, metrics={"b": (1, 2), "a": 1, "alignment": {"measured": "later"}})
    assert (first.changed, again.changed) == (True, False)
    assert again.published == first.published == catalog.version("user_embedding", 0)
    assert files_of(catalog) == before


@pytest.mark.parametrize(
    ("version", "changes", "fields"),
    [
        (1, {"transform": affine(1, 4, 3, seed=9)}, "transform"),
        (1, {"feature": "vector"}, "feature"),
        (1, {"source": source(0), "metrics": {"x": 1}}, "source, metrics"),
        (1, {"holdout": Holdout()}, "holdout"),
        (0, {"dim": 7}, "dim"),
    ],
)
def test_differing_content_is_refused(
    catalog: EmbeddingCatalog, version: int, changes: dict[str, Any], fields: str
) -> None:
    publish(catalog, 0)
    publish(catalog, 1)
    before = files_of(catalog)
    with pytest.raises(VersionConflictError, match=f"with another {fields};"):
        publish(catalog, version, **changes)
    assert files_of(catalog) == before


@pytest.mark.parametrize(
    ("version", "changes", "error", "message"),
    [
        (0, {"transform": LINKS[1]}, DirectionError, "is the oldest"),
        (1, {"transform": None}, ChainGapError, "needs its backward transformation 1 -> 0"),
        (2, {}, ChainGapError, "publish version 1 first"),
        (1, {"transform": LINKS[2]}, DirectionError, "expected a transformation 1 -> 0"),
        (1, {"transform": affine(1, 4, 2)}, DimensionError, "4 -> 3"),
        (1, {"transform": affine(1, 5, 3)}, DimensionError, "4 -> 3"),
        (1, {"join_keys": ["item_id"]}, CatalogError, "user_id; found item_id"),
        (1, {"join_keys": "user_id"}, CatalogError, "a list of join keys"),
        (-1, {"dim": 1}, CatalogError, "version >= 0"),
        (1, {"metrics": {"loss": float("nan")}}, CatalogError, "finite numbers"),
        (1, {"metrics": {"loss": object()}}, CatalogError, "plain JSON"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(
    catalog: EmbeddingCatalog,
    version: int,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    publish(catalog, 0)
    before = files_of(catalog)
    with pytest.raises(error, match=message):
        publish(catalog, version, **changes)
    assert files_of(catalog) == before


@pytest.mark.parametrize("name", ["", "1user", "user embedding", "../user", "user-embedding"])
def test_names_become_feature_views(catalog: EmbeddingCatalog, name: str) -> None:
    with pytest.raises(CatalogError, match=r"Embedding name .* expected a letter"):
        catalog.publish(name, 0, source=source(), dim=3, join_keys=["id"], transform=None)


def test_activation_rollback_and_retirement(catalog: EmbeddingCatalog) -> None:
    for version in range(3):
        publish(catalog, version)
    catalog.activate("user_embedding", 1, T0)
    gate = {"passed": False, "measured": []}
    later = T0 + timedelta(hours=5)
    catalog.activate("user_embedding", 2, T0 + timedelta(hours=1), forced=True, gate=gate)
    rolled_back = catalog.rollback("user_embedding", at=later).published
    assert rolled_back.version == 2
    assert rolled_back.activations == (Activation(T0 + timedelta(hours=1), later),)
    catalog.activate("user_embedding", 2, T0 + timedelta(hours=9))
    assert catalog.retire("user_embedding", 0).published.retired
    catalog.retire("user_embedding", 0)
    catalog.rollback("user_embedding", 1, at=T0)
    zero, one, two = catalog.versions("user_embedding")
    assert [v.retired for v in (zero, one, two)] == [True, False, False]
    assert one.activations == (Activation(T0, T0),)
    assert [a.active_until for a in two.activations] == [later, None]
    history = catalog.version("user_embedding", 2).events
    assert [e.event for e in history] == ["publish", "activate", "rollback", "activate"]
    assert (history[1].forced, history[1].gate) == (True, gate)
    assert [e.event for e in catalog.version("user_embedding", 0).events] == ["publish", "retire"]
    assert all(check.ok for check in catalog.verify())


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda c: c.activate("user_embedding", 0, T0), CatalogError, "no older views"),
        (
            lambda c: c.activate("user_embedding", 1, T0 + timedelta(days=1)),
            CatalogError,
            "version 1 is active already, from 2026-01-01",
        ),
        (lambda c: c.activate("user_embedding", 7, T0), UnknownVersionError, "published: 0, 1, 2"),
        (
            lambda c: c.activate("user_embedding", 2, T0.replace(tzinfo=None)),
            CatalogError,
            "no time zone",
        ),
        (
            lambda c: c.rollback("user_embedding", at=T0 - timedelta(days=1)),
            CatalogError,
            "lies before that",
        ),
        (lambda c: c.rollback("user_embedding", 2, at=T0), CatalogError, "version 2 is not active"),
        (lambda c: c.rollback("user_embedding", 7, at=T0), UnknownVersionError, "no version 7"),
        (lambda c: c.rollback("nobody", at=T0), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.retire("user_embedding", 7), UnknownVersionError, "no version 7"),
        (lambda c: c.versions("nobody"), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.verify("nobody"), UnknownVersionError, "it has: user_embedding"),
        (lambda c: c.transform("user_embedding", 0), DirectionError, "0 -> -1"),
        (lambda c: c.chain("user_embedding", 1, 1), DirectionError, "newer version to an older"),
        (lambda c: c.chain("user_embedding", 3, 0), UnknownVersionError, "no version 3"),
    ],
)
def test_requests_that_make_no_sense(
    local: EmbeddingCatalog,
    act: Callable[[EmbeddingCatalog], object],
    error: type[Exception],
    message: str,
) -> None:
    local.activate("user_embedding", 1, T0)
    before = files_of(local)
    with pytest.raises(error, match=message):
        act(local)
    assert files_of(local) == before


def test_rollback_without_any_activation(local: EmbeddingCatalog) -> None:
    with pytest.raises(CatalogError, match="no version was ever activated"):
        local.rollback("user_embedding", at=T0)


def test_transform_and_chain(local: EmbeddingCatalog) -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    expected = compose([LINKS[2], LINKS[1]]).apply(vectors)
    chain = local.chain("user_embedding", 2, 0)
    np.testing.assert_array_equal(chain.apply(vectors), expected)
    assert repr(local.transform("user_embedding", 1)) == repr(LINKS[1])


def test_local_roots_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    catalog = EmbeddingCatalog("here")
    assert catalog.root == str(tmp_path / "here")
    publish(catalog, 0)
    publish(catalog, 1)
    monkeypatch.chdir("/")
    assert there(catalog.versions("user_embedding")[1].transform).load().from_version == 1
