"""A versioned embedding changes its serving; readers get right values at every step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feast_bc.errors import MaterializationError, ProviderError, UnknownVersionError
from feast_bc.materialization.switch_serving import drop_serving, prepare_serving
from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER, Row, at, make_store
from tests.support.pushes import FAMILY, NOW, check, filled, push, with_rows
from tests.support.schedules import apply

NEXT: dict[str, Serving] = {"materialized": "on_read", "on_read": "materialized"}


@pytest.mark.parametrize("online", ["sqlite", "redis"])
@pytest.mark.parametrize("before", ["materialized", "on_read"])
def test_switch(
    before: Serving, online: str, redis_store: dict[str, object], tmp_path: Path
) -> None:
    family = replace(FAMILY, serving=before)
    after = NEXT[before]
    store = filled(tmp_path, family, redis_store if online == "redis" else None)
    # The other serving may hold values of an earlier time: they must never show.
    prepare_serving(store, "user_embedding", after, end=at(2))
    check(store, family, 10)

    family = with_rows(family, [Row(1, 2, 11, (2, 2, 2)), Row(0, 99, 11, (4, 4))])
    family.write(tmp_path)
    prepare_serving(store, "user_embedding", after, end=at(12))
    check(store, replace(family, rows=FAMILY.rows), 12)
    store.materialize_incremental(at(12))
    check(store, family, 12)
    # Another reader still has the old registry after the new serving is applied.
    late = make_store(tmp_path, online=redis_store if online == "redis" else None)
    check(late, family, 12)

    switched = replace(family, serving=after)
    apply(store, switched, tmp_path)
    check(store, switched, 13)
    check(late, family, 13)
    pushed = [Row(2, 1, 13, (3, 3))]
    push(store, pushed, hour=13)
    check(store, with_rows(switched, pushed), 13)

    drop_serving(store, "user_embedding", before)
    check(store, with_rows(switched, pushed), 13)
    switched = with_rows(switched, [*pushed, Row(2, 2, 14, (6, 6))])
    switched.write(tmp_path)
    store.materialize_incremental(at(15))
    check(store, switched, 15)


@pytest.mark.parametrize("online", ["sqlite", "redis"])
@pytest.mark.parametrize("before", ["materialized", "on_read"])
def test_a_serving_that_was_not_prepared_is_refused(
    before: Serving, online: str, redis_store: dict[str, object], tmp_path: Path
) -> None:
    """Readers would get nulls."""
    family, after = replace(FAMILY, serving=before), NEXT[before]
    config = redis_store if online == "redis" else None
    store = filled(tmp_path, family, config)
    switched = replace(family, serving=after)
    refused = rf"_v\d is served '{before}'.*prepare_serving\(store, 'user_embedding', '{after}'\)"
    with pytest.raises(ProviderError, match=refused):
        apply(store, switched, tmp_path)
    view = switched.write(tmp_path).view(0)
    with pytest.raises(ProviderError, match=refused):  # as `feast apply` asks
        store.provider.validate_data_source(store.config, view.batch_source)
    # Feast leaves what was refused in the memory of that store object.
    late = make_store(tmp_path, online=config)
    check(late, family)
    prepare_serving(late, "user_embedding", after, end=at(NOW))
    apply(late, switched, tmp_path)
    check(late, switched)
    drop_serving(late, "user_embedding", before)
    with pytest.raises(ProviderError, match=f"is served '{after}'"):  # and back again
        apply(late, family, tmp_path)
    check(make_store(tmp_path, online=config), switched)


def test_a_serving_of_which_nothing_was_read_needs_no_preparation(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER])
    apply(store, FAMILY, tmp_path)
    other = make_store(tmp_path, online={"type": "sqlite", "path": str(tmp_path / "new.db")})
    for serving in ("on_read", "materialized", "on_read"):
        apply(store, replace(FAMILY, serving=serving), tmp_path)
    store.materialize(at(-1), at(NOW))
    check(store, replace(FAMILY, serving="on_read"))
    # The registry may be older than the store that is named now.
    apply(other, FAMILY, tmp_path)
    other.materialize(at(-1), at(NOW))
    check(other, FAMILY)


def test_materializations_between_prepare_and_apply_are_caught_up(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    prepare_serving(store, "user_embedding", "on_read", end=at(10))
    family = with_rows(FAMILY, [Row(1, 2, 11, (2, 2, 2))])
    family.write(tmp_path)
    store.materialize_incremental(at(12))
    family = replace(family, serving="on_read")
    apply(store, family, tmp_path)
    store.materialize_incremental(at(14))
    check(store, family, 14)


def test_what_is_in_use_is_not_dropped(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    with pytest.raises(ProviderError, match=r"user_embedding_v0.*serving='materialized'"):
        drop_serving(store, "user_embedding", "materialized")
    check(store, FAMILY)


def test_views_that_are_not_online(tmp_path: Path) -> None:
    embedding = VersionedEmbedding(
        "user_embedding", versions=FAMILY.write(tmp_path).versions, entities=[USER], online=False
    )
    store = make_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    with pytest.raises(ProviderError, match=r"views of user_embedding have online=False"):
        prepare_serving(store, "user_embedding", "on_read")


def test_unknown_embedding(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    with pytest.raises(UnknownVersionError, match=r"'item_embedding'.*found user_embedding"):
        prepare_serving(store, "item_embedding", "on_read")


def test_a_failure_changes_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER])
    apply(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(10))
    with_rows(FAMILY, [Row(1, 1, 11, (1, float("nan"), 1))]).write(tmp_path)
    with pytest.raises(
        MaterializationError,
        match=r"user_embedding_v0 .*user_embedding version 1 .*NaN or infinity",
    ):
        prepare_serving(store, "user_embedding", "on_read")
    check(store, FAMILY)
