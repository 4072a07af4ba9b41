"""The same entities are found in tables of any keys, in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feast_bc.columns.align import align, newest_rows, places

IDS = st.lists(st.integers(0, 9), unique=True, max_size=10)
KINDS = {
    "int64": lambda ids: {"user": pa.array(ids, pa.int64())},
    "int32 and int64": lambda ids: {"user": pa.array(ids, [pa.int32(), pa.int64()][len(ids) % 2])},
    "text": lambda ids: {"user": pa.array([f"u{i}" for i in ids], pa.string())},
    "timestamp": lambda ids: {"user": pa.array(ids, pa.timestamp("us", "UTC"))},
    "null among them": lambda ids: {"user": pa.array([i or None for i in ids], pa.int64())},
    "two columns": lambda ids: {
        "user": pa.array([i // 3 for i in ids], pa.int64()),
        "shop": pa.array([f"s{i % 3}" for i in ids], pa.string()),
    },
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_align(kind: str, data: st.DataObject) -> None:
    tables = [pa.table(KINDS[kind](ids)) for ids in data.draw(st.lists(IDS, min_size=1))]
    keys, rows = align(tables)
    first_seen: list[Any] = []
    for table in tables:
        first_seen += [key for key in table.to_pylist() if key not in first_seen]
    assert keys.to_pylist() == first_seen
    for table, row in zip(tables, rows, strict=True):
        own = table.to_pylist()
        assert row.tolist() == [own.index(key) if key in own else -1 for key in first_seen]


def test_a_version_without_rows_has_no_type() -> None:
    keys, (one, other) = align([pa.table({"user": []}), pa.table({"user": [3, 1]})])
    assert keys["user"].to_pylist() == [3, 1]
    assert (one.tolist(), other.tolist()) == ([-1, -1], [0, 1])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_newest_rows(kind: str, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 5)) | IDS.map(sorted))
    keys = pa.table(KINDS[kind](ids))
    stamp = st.lists(st.integers(0, 2), min_size=len(ids), max_size=len(ids))
    instants, created = (np.array(data.draw(stamp), np.int64) for _ in range(2))
    newest: dict[str, int] = {}
    for row, key in enumerate(map(repr, keys.to_pylist())):
        known = newest.setdefault(key, row)
        if (instants[row], created[row]) >= (instants[known], created[known]):
            newest[key] = row
    assert newest_rows(keys, instants, created).tolist() == sorted(newest.values())


def test_places() -> None:
    assert places(np.array([2, -1, 0]), 4).tolist() == [2, -1, 0, -1]
    assert places(np.array([1, 0]), 2).tolist() == [1, 0]
