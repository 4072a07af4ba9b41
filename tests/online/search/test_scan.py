"""A scan finds what comparing the query with every value finds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from feast import FeatureView
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.online.reader import StoreReader
from feast_bc.online.request import Column, Request, Wanted
from feast_bc.online.search.metric import METRICS, Query
from feast_bc.online.search.scan import scanned
from tests.support.families import Family
from tests.support.schedules import ENTITIES
from tests.support.searches import brute, expected
from tests.support.stored_natives import Stored, micros
from tests.support.strategies import HORIZON, families


def reader_of(family: Family, hour: float) -> type[StoreReader]:
    """A reader of what a store holds at an hour; it lists two entities at a time, some twice."""
    rows = [row for row in family.rows if row.hour <= hour]

    class Reader(StoreReader):
        def __init__(self, store: Any, config: Any, view: FeatureView, keys: Any) -> None:
            self.keys = keys
            self._stored = Stored(view.batch_source, rows, [int(key) for key in keys])

        def entities(self, wanted: Wanted) -> Iterator[list[bytes]]:
            listed = [str(entity).encode() for entity in (*ENTITIES, *ENTITIES[:1], 99)]
            return (listed[i : i + 2] for i in range(0, len(listed), 2))

        def read(self, request: Request) -> list[Column]:
            return self._stored.read(request)

    return Reader


@settings(max_examples=300)
@given(data=st.data(), metric=st.sampled_from(METRICS), count=st.integers(1, 4))
def test_against_brute_force(data: st.DataObject, metric: str, count: int) -> None:
    """Random chains, fallbacks, nulls, TTLs, in every metric."""
    family: Family = replace(data.draw(families()), serving="on_read", keeps=False)
    hour = data.draw(st.integers(0, HORIZON))
    version = data.draw(st.integers(0, len(family.dims) - 1))
    dim = family.dims[version]
    asked = data.draw(st.lists(st.floats(-8, 8, width=16), min_size=dim, max_size=dim))
    if metric == "cosine" and not any(asked):
        return
    with tempfile.TemporaryDirectory() as folder:
        view = family.write(Path(folder)).view(version)
        query = Query.checked(view.batch_source, asked, metric, count)
        reader: Any = reader_of(family, hour)
        keys = scanned(None, None, view, reader, query, micros(hour))
    wanted = expected(family, version, hour, metric, asked)
    assert len(set(keys)) == len(keys) == min(count, len(wanted))
    found = [brute(metric, asked, _value(family, version, int(key), hour)) for key in keys]
    np.testing.assert_allclose(found, list(wanted.values())[:count], rtol=1e-4, atol=1e-4)


def _value(family: Family, version: int, entity: int, hour: float) -> np.ndarray:
    value = family.value(version, entity, hour)
    assert value is not None
    return value
