"""The plan of a read, over what an online store holds, against the rule's oracle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.arrays import NEVER
from feast_bc.online.on_read import resolve
from feast_bc.online.request import Column, Request, run
from tests.support.families import Family, Row
from tests.support.presence import there
from tests.support.schedules import ENTITIES
from tests.support.stored_natives import Stored, micros
from tests.support.strategies import HORIZON, families


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
