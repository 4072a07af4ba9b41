"""Candidates from an index of native vectors, against brute force."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.instants import to_micros
from feast_bc.online.search.found import Found, measured
from feast_bc.online.search.indexed import indexed
from feast_bc.online.search.metric import METRICS, Query
from feast_bc.online.search.pulled_back import Pulled
from tests.support.families import Family, at
from tests.support.searches import (
    FAMILY,
    QUERY,
    brute,
    check,
    expected,
    key,
)
from tests.support.strategies import HORIZON, families


class Searched:
    """What an online store with a vector search of its own has: each version's newest row."""

    def __init__(self, family: Family, view: FeatureView, hour: float, asked: Query) -> None:
        past = sorted((r for r in family.rows if r.hour <= hour), key=lambda row: row.hour)
        self._newest = {(row.version, row.entity): row for row in past}
        self._family, self._view, self._hour, self._asked = family, view, hour, asked
        self.searches = 0

    def nearest(self, pulled: Pulled, count: int) -> list[tuple[EntityKey, float]]:
        self.searches += 1
        rows = [
            (entity, brute(pulled.query.metric, pulled.query.vector.tolist(), np.array(row.vector)))
            for (version, entity), row in self._newest.items()
            if version == pulled.version and row.vector is not None
        ]
        rows = sorted((row for row in rows if not np.isnan(row[1])), key=lambda row: row[1])
        return [(key(entity), distance) for entity, distance in rows[:count]]

    def read(self, keys: Sequence[EntityKey]) -> Found:
        version = self._view.batch_source.version
        values = [
            self._family.value(version, each.entity_values[0].int64_val, self._hour)
            for each in keys
        ]
        answers = [
            (None, None)
            if value is None
            else (at(self._hour), {"embedding": Value(float_list_val=FloatList(val=value))})
            for value in values
        ]
        return measured(self._view, self._asked, keys, answers)


@settings(max_examples=300)
@given(data=st.data(), metric=st.sampled_from(METRICS), count=st.integers(1, 4))
def test_the_index_of_native_vectors_against_brute_force(
    data: st.DataObject, metric: str, count: int
) -> None:
    """Random chains, fallbacks, nulls, TTLs: exact, or left to a scan."""
    family: Family = replace(data.draw(families()), keeps=False)
    hour = data.draw(st.integers(0, HORIZON))
    version = data.draw(st.integers(0, len(family.dims) - 1))
    numbers = st.floats(-8, 8, width=16)
    asked = data.draw(
        st.lists(numbers, min_size=family.dims[version], max_size=family.dims[version])
    )
    if metric == "cosine" and not any(asked):
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("feast_bc.online.search.indexed._WIDENING", 1 + data.draw(st.integers(0, 1))),
    ):
        view = family.write(Path(folder)).view(version)
        query = Query.checked(view.batch_source, asked, metric, count)
        store = Searched(family, view, hour, query)
        found = indexed(view.batch_source, store.nearest, store.read, query, to_micros(at(hour)))
    if found is None:
        return
    entities = {
        document[1].entity_values[0].int64_val: float(distance)
        for document, distance in zip(*found, strict=True)
        if document[1] is not None
    }
    check(entities, expected(family, version, hour, metric, asked), count)


def test_one_search_per_version_where_nothing_else_can_be_nearer(tmp_path: Path) -> None:
    view = FAMILY.write(tmp_path).view(0)
    query = Query.checked(view.batch_source, QUERY, "inner_product", 3)
    store = Searched(FAMILY, view, 8, query)
    now = to_micros(at(8))
    assert indexed(view.batch_source, store.nearest, store.read, query, now) is not None
    assert store.searches % 3 == 0
