"""What is left in Redis when views are deleted: fields of an entity's one hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from feast_bc.materialization.switch_serving import drop_serving, prepare_serving
from tests.support.families import EXAMPLE, at
from tests.support.online_stores import redis_dump
from tests.support.plain_views import served
from tests.support.pushes import check


def fields(address: str) -> Mapping[bytes, set[bytes]]:
    """Per entity the fields of its hash."""
    dump = redis_dump(address).items()
    return {key: set(found) for key, (found, _) in dump if b"feast_bc_stored_view" not in key}


def test_a_view_that_shares_the_hash_with_native_vectors(
    redis_store: dict[str, object], redis_address: str, tmp_path: Path
) -> None:
    """Feast would delete a hash with the last view that has a timestamp there."""
    family = replace(EXAMPLE, serving="on_read")
    store = served(tmp_path, family, redis_store)
    before = fields(redis_address)
    profile = store.get_feature_view("profile")
    store.apply([], objects_to_delete=[profile], partial=False)
    after = fields(redis_address)
    gone = [before[key] - after[key] for key in before]
    assert sorted(map(len, gone)) == [0, 2, 2]
    assert b"_ts:profile" in set().union(*gone)
    check(store, family, 6)


def test_native_vectors_go_with_their_serving(
    redis_store: dict[str, object], redis_address: str, tmp_path: Path
) -> None:
    store = served(tmp_path, EXAMPLE, redis_store)
    before = fields(redis_address)
    prepare_serving(store, "user_embedding", "on_read", end=at(6))
    assert fields(redis_address) != before
    drop_serving(store, "user_embedding", "on_read")
    assert fields(redis_address) == before
    check(store, EXAMPLE, 6)


def test_a_store_that_is_not_to_look_for_what_to_delete(
    redis_store: dict[str, object], redis_address: str, tmp_path: Path
) -> None:
    store = served(tmp_path, EXAMPLE, {**redis_store, "full_scan_for_deletion": False})
    before = fields(redis_address)
    store.apply([], objects_to_delete=[store.get_feature_view("profile")], partial=False)
    assert fields(redis_address) == before
