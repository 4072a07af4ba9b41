"""What cannot be searched, and what is left to Feast."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.Value_pb2 import Value

from feast_bc.columns.instants import to_micros
from feast_bc.errors import DimensionError, InvalidVectorsError, ProviderError
from feast_bc.online.access import StoreAccess
from feast_bc.online.store import _ASKED
from tests.support.families import USER, at, make_store
from tests.support.plain_views import served
from tests.support.searches import FAMILY, QUERY, check, expected, key, searched

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"query": [1.0, 2.0]}, DimensionError, "'user_embedding_v0': expected a query of 3 .* 2"),
    ({"query": ["a", "b", "c"]}, DimensionError, "expected 3 numbers"),
    ({"query": [1.0, 2.0, float("nan")]}, InvalidVectorsError, "NaN or infinity"),
    ({"query": [0.0] * 3, "distance_metric": "cosine"}, InvalidVectorsError, "query is zero"),
    ({"top_k": 0}, InvalidVectorsError, "top_k of 1 or more, found 0"),
    ({"distance_metric": "hamming"}, ProviderError, "'hamming'; expected one of L2, cosine"),
    ({"query_string": "shoes"}, ProviderError, "no text and meets no filters"),
    ({"query": None, "query_string": "shoes"}, ProviderError, "no text and meets no filters"),
]


def test_what_cannot_be_searched(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    for wrong, error, message in WRONG:
        options = {"query": QUERY, "top_k": 1, **wrong}
        with pytest.raises(error, match=message):
            store.retrieve_online_documents_v2(features=["user_embedding_v0:embedding"], **options)
    assert searched(store, "user_embedding_v0", "L2", 1) == {}  # nothing is materialized


def test_a_store_that_feast_bc_cannot_search(tmp_path: Path) -> None:
    family = replace(FAMILY, serving="on_read")
    store = make_store(tmp_path)
    store.apply([USER, *family.write(tmp_path).feature_views().values()])
    with (
        patch("feast_bc.online.search.search.access", return_value=StoreAccess()),
        pytest.raises(ProviderError, match=r"served on read.*`feast-bc export"),
    ):
        searched(store, "user_embedding_v0", "L2", 1)


def test_plain_views_are_left_to_feast(tmp_path: Path) -> None:
    store = served(tmp_path, FAMILY, None)
    with pytest.raises(ValueError, match="must enable either vector search"):
        store.retrieve_online_documents_v2(features=["profile:age"], query=[1.0], top_k=1)


def test_other_stores_search_materialized_views_themselves(tmp_path: Path) -> None:
    """What they find comes in the order in which Feast gives each entity its own values."""
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    asked: dict[str, Any] = {}

    def stock(_: object, **given: Any) -> list[Any]:
        asked.update(given)
        distances = {5: 0.1, 2: 0.2, 9: 0.3}
        return [
            (at(1), key(user), {"distance": Value(double_val=distance)})
            for user, distance in distances.items()
        ]

    with (
        patch("feast_bc.online.search.search.access", return_value=StoreAccess()),
        patch.object(SqliteOnlineStore, "retrieve_online_documents_v2", stock),
    ):
        found = searched(store, "user_embedding_v0", "COSINE", 3)
    assert found == {2: 0.2, 5: 0.1, 9: 0.3}
    assert asked["distance_metric"] == "COSINE"
    assert asked["requested_features"] == ["embedding"]


def test_stores_are_asked_by_position_too(tmp_path: Path) -> None:
    """Feast's own interface lets a caller do either."""
    _, _, _, *theirs = inspect.signature(OnlineStore.retrieve_online_documents_v2).parameters
    assert tuple(theirs) == _ASKED
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    with patch("feast_bc.clock.now", return_value=to_micros(at(8))):
        store.materialize(at(0), at(8))
        view = store.get_feature_view("user_embedding_v0")
        found = store.provider.online_store.retrieve_online_documents_v2(
            store.config, view, ["embedding"], QUERY, 2, "L1"
        )
    wanted = expected(FAMILY, 0, 8, "L1", QUERY)
    check(
        {k.entity_values[0].int64_val: values["distance"].double_val for _, k, values in found},
        wanted,
        2,
    )
