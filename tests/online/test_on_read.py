"""The plan of a read, over what an online store holds, against the rule's oracle."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import numpy as np
from feast.protos.feast.types.Value_pb2 import FloatList, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.arrays import NEVER
from feast_bc.online.on_read import resolve
from feast_bc.online.request import Column, Request, run
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import Family, Row, at
from tests.support.presence import there
from tests.support.schedules import ENTITIES
from tests.support.strategies import HORIZON, families

ROW, VECTOR = 1, 2
"""Flags of an entry: the version has a row; the row has a vector."""


class Stored:
    """Native rows as an online store has them: each version's newest per entity, and the states.

    The bytes are made here, by hand.
    """

    def __init__(
        self, source: BackwardCompatibleSource, rows: Sequence[Row], asked: Sequence[int]
    ) -> None:
        self.digests = source.digests
        self.asked = asked
        self.newest = {(r.version, r.entity): r for r in sorted(rows, key=lambda row: row.hour)}
        self.requests: list[Request] = []

    def read(self, request: Request) -> list[Column]:
        self.requests.append(request)
        positions = range(len(self.asked)) if request.positions is None else request.positions
        asked = [self.asked[i] for i in positions]
        return [
            [self._state(entity) for entity in asked]
            if wanted.what == "states"
            else [self._native(wanted.version, entity) for entity in asked]
            for wanted in request.wanted
        ]

    def _native(self, version: int, entity: int) -> bytes | None:
        row = self.newest.get((version, entity))
        if row is None:
            return None
        value = Value() if row.vector is None else Value(float_list_val=FloatList(val=row.vector))
        return bytes(value.SerializeToString())

    def _state(self, entity: int) -> bytes | None:
        if not any(entity == known for _, known in self.newest):
            return None
        entries = [self._entry(version, entity) for version in range(len(self.digests))]
        return bytes(Value(bytes_val=b"".join(entries)).SerializeToString())

    def _entry(self, version: int, entity: int) -> bytes:
        """16 bytes: digest, instant, which version gave the value (none), flags, padding."""
        row = self.newest.get((version, entity))
        if row is None:
            return bytes(16)
        flags = ROW if row.vector is None else ROW | VECTOR
        return struct.pack("<IqHBx", self.digests[version], micros(row.hour), 0, flags)


def micros(hour: float) -> int:
    """Microseconds since the epoch."""
    return (at(hour) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


@settings(max_examples=500)
@given(data=st.data(), at_once=st.sampled_from([0, 2**13]))
def test_against_the_oracle(data: st.DataObject, at_once: int) -> None:
    """Values, presence and timestamps."""
    family: Family = data.draw(families())
    hour = data.draw(st.integers(0, HORIZON))
    asked = data.draw(st.permutations([*ENTITIES, 99]))[: data.draw(st.integers(1, 4))]
    version = data.draw(st.integers(0, len(family.dims) - 1))
    rows = [row for row in family.rows if row.hour <= hour]
    with tempfile.TemporaryDirectory() as folder:
        source = family.write(Path(folder)).view(version).batch_source
        with patch("feast_bc.online.on_read._BYTES_AT_ONCE", at_once):
            stored = Stored(source, rows, asked)
            resolved = run(resolve(source, len(asked), micros(hour)), stored.read)
    assert len(stored.requests) <= 2
    assert resolved.vectors.flags.c_contiguous
    assert resolved.vectors.dtype == np.float32
    for i, entity in enumerate(asked):
        expected = family.value(version, entity, hour)
        assert resolved.present[i] == (expected is not None)
        if expected is None:
            assert np.isnan(resolved.vectors[i]).all()
        else:
            np.testing.assert_allclose(resolved.vectors[i], expected, rtol=1e-4, atol=1e-4)
        row = family.dated_by(version, entity, hour)
        assert resolved.found[i] == (row is not None)
        assert resolved.instants[i] == (NEVER if row is None else micros(row.hour))


FULL = Family(
    dims=[2, 3, 2],
    rows=[
        Row(k, e, k, tuple(float(i + e) for i in range(d)))
        for k, d in enumerate([2, 3, 2])
        for e in (1, 2)
    ],
    active={1: [(1, None)], 2: [(2, None)]},
)


def test_one_request_where_the_newest_version_has_everything(tmp_path: Path) -> None:
    source = FULL.write(tmp_path).view(0).batch_source
    stored = Stored(source, FULL.rows, [1, 2])
    with patch("feast_bc.online.on_read._BYTES_AT_ONCE", 0):
        resolved = run(resolve(source, 2, micros(3)), stored.read)
    ((first, *natives),) = [request.wanted for request in stored.requests]
    assert first.what == "states"
    assert [wanted.version for wanted in natives] == [2]
    np.testing.assert_allclose(resolved.vectors[0], there(FULL.value(0, 1, 3)), rtol=1e-4)


def test_a_second_request_for_whom_it_lacks(tmp_path: Path) -> None:
    source = FULL.write(tmp_path).view(0).batch_source
    rows = [row for row in FULL.rows if (row.version, row.entity) != (2, 2)]
    stored = Stored(source, rows, [1, 2])
    with patch("feast_bc.online.on_read._BYTES_AT_ONCE", 0):
        run(resolve(source, 2, micros(3)), stored.read)
    assert [w.version for w in stored.requests[1].wanted] == [1]
    assert stored.requests[1].positions is not None
    assert stored.requests[1].positions.tolist() == [1]


def test_a_row_of_another_version_with_the_same_number_does_not_count(tmp_path: Path) -> None:
    """A vector of unknown space is no value."""
    source = FULL.write(tmp_path).view(0).batch_source
    stored = Stored(source, FULL.rows, [1])
    stored.digests = source.digests ^ np.array([0, 0, 1], np.uint32)
    resolved = run(resolve(source, 1, micros(3)), stored.read)
    np.testing.assert_allclose(
        resolved.vectors[0],
        there(Family(dims=FULL.dims, rows=FULL.rows, active={1: [(1, None)]}).value(0, 1, 3)),
        rtol=1e-4,
    )


def test_a_vector_that_is_not_there_yet_is_null(tmp_path: Path) -> None:
    """The state tells of it, as between the two writes of a store that takes views one by one."""
    source = FULL.write(tmp_path).view(0).batch_source
    stored = Stored(source, FULL.rows, [1])

    def read(request: Request) -> list[Column]:
        return [
            [None] if wanted.what == "natives" else column
            for wanted, column in zip(request.wanted, stored.read(request), strict=True)
        ]

    resolved = run(resolve(source, 1, micros(3)), read)
    assert not resolved.present.any()
