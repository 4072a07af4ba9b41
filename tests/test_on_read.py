"""The plan of a read, against what a materialization at the same instant would write."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.activation import NEVER, to_micros
from feast_bc.encoding import NULL, encode
from feast_bc.latest import Natives, effective_instants, relevant_members, usable
from feast_bc.on_read import Resolved, resolve
from feast_bc.resolution import NONE, winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.stored_rows import Request, StoredRows, Wanted, run
from tests.families import Family, Row, at
from tests.test_rule import ENTITIES, HORIZON, families


class Stored:
    """Native rows as an online store has them: each version's newest per entity."""

    def __init__(self, rows: Sequence[Row], asked: Sequence[int]) -> None:
        self.asked = asked
        self.newest = {(r.version, r.entity): r for r in sorted(rows, key=lambda row: row.hour)}

    def instants(self, version: int) -> np.ndarray:
        rows = [self.newest.get((version, entity)) for entity in self.asked]
        return np.array([NEVER if row is None else to_micros(at(row.hour)) for row in rows])

    def read(self, request: Request) -> list[StoredRows]:
        some = slice(None) if request.positions is None else request.positions
        return [
            self._rows(wanted, request, np.array(self.asked)[some]) for wanted in request.wanted
        ]

    def _rows(self, wanted: Wanted, request: Request, asked: np.ndarray) -> StoredRows:
        assert wanted.version is not None
        here = Stored(list(self.newest.values()), asked.tolist())
        instants = here.instants(wanted.version)
        if wanted.value and not request.instants:
            instants = np.full(len(asked), NEVER)
        rows = [here.newest.get((wanted.version, entity)) for entity in here.asked]
        values = [_value(row) if wanted.value else None for row in rows]
        return StoredRows(values, lambda: instants)


def _value(row: Row | None) -> bytes | None:
    if row is None:
        return None
    return NULL if row.vector is None else encode(np.array([row.vector], np.float32))[0]


def written(source: BackwardCompatibleSource, stored: Stored, now: int) -> tuple[np.ndarray, ...]:
    """Per entity: the winning version, whether there is a row at all, since when it holds."""
    natives = [
        Natives(
            member=member,
            row=np.where(instants == NEVER, -1, 0),
            instant=instants,
            has_vector=np.array(
                [
                    (row := stored.newest.get((member.version, entity))) is not None
                    and row.vector is not None
                    for entity in stored.asked
                ]
            ),
        )
        for member in relevant_members(source, now)
        for instants in [stored.instants(member.version)]
    ]
    winner = winners(
        source,
        np.full(len(stored.asked), now),
        {native.member.version: usable(source, native, now) for native in natives},
    )
    found = np.logical_or.reduce([native.present for native in natives])
    return winner, found, effective_instants(source, natives, winner, now)


def nearly_complete(rng: np.random.Generator) -> Family:
    """Most versions have rows of most entities, and serve at some time."""
    dims = rng.integers(1, 4, rng.integers(1, 4)).tolist()
    rows = []
    for version, dim in enumerate(dims):
        for entity in ENTITIES:
            hour = int(rng.integers(HORIZON))
            if rng.random() < 0.9:
                rows.append(Row(version, entity, hour, tuple(rng.normal(size=dim).tolist())))
    return Family(
        dims=dims,
        rows=rows,
        active={k: _activations(rng) for k in range(1, len(dims))},
        ttl_hours=int(rng.integers(2, HORIZON)) if rng.random() < 0.5 else None,
    )


def _activations(rng: np.random.Generator) -> list[tuple[float, float | None]]:
    start, end = sorted(rng.integers(0, HORIZON, 2).tolist())
    return [(start, end if rng.random() < 0.4 else None)]


@settings(max_examples=1000)
@given(data=st.data(), at_once=st.sampled_from([0, 2**13]), seed=st.integers(0, 2**32))
def test_as_materialized(data: st.DataObject, at_once: int, seed: int) -> None:
    """Values, presence and instants; also when only the matrix is asked for."""
    rng = np.random.default_rng(seed)
    family: Family = nearly_complete(rng) if seed % 4 else data.draw(families())
    # A rolled-back version's row without a vector is the one case where instants may differ.
    family = replace(family, rows=[row for row in family.rows if row.vector is not None])
    hour = int(rng.integers(HORIZON + 1))
    asked = rng.permutation(ENTITIES)[: rng.integers(1, 3)].tolist()
    version = int(rng.integers(len(family.dims)))
    applied = int(rng.integers(HORIZON + 2)) if rng.random() < 0.5 else None
    with tempfile.TemporaryDirectory() as folder:
        source = family.write(Path(folder)).view(version).batch_source
        source.last_updated_timestamp = None if applied is None else at(applied)
        stored = Stored([row for row in family.rows if row.hour <= hour], asked)
        now = to_micros(at(hour))
        winner, found, effective = written(source, stored, now)
        with patch("feast_bc.on_read._BYTES_AT_ONCE", at_once):
            plan = partial(resolve, source, len(asked), now)
            resolved = run(plan(), stored.read)
            matrix = run(plan(instants=False), stored.read)
    np.testing.assert_array_equal(resolved.found, found)
    np.testing.assert_array_equal(resolved.instants[found], effective[found])
    for result in (resolved, matrix):
        check_values(result, family, version, asked, hour, winner)


def check_values(
    result: Resolved,
    family: Family,
    version: int,
    asked: Sequence[int],
    hour: int,
    winner: np.ndarray,
) -> None:
    np.testing.assert_array_equal(result.present, winner != NONE)
    assert result.vectors.flags.c_contiguous
    assert result.vectors.dtype == np.float32
    for vector, entity in zip(result.vectors, asked, strict=True):
        expected = family.value(version, entity, hour)
        if expected is None:
            assert np.isnan(vector).all()
        else:
            np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-4)


def test_most_reads_take_the_short_way() -> None:
    """The newest version has everything: one request, and nothing general runs."""
    family = Family(
        dims=[2, 3, 2],
        rows=[Row(k, 1, k, tuple(float(i) for i in range(dim))) for k, dim in enumerate([2, 3, 2])],
        active={1: [(1, None)], 2: [(2, None)]},
    )
    stored = Stored(family.rows, [1])
    with tempfile.TemporaryDirectory() as folder:
        source = family.write(Path(folder)).view(0).batch_source
        with patch("feast_bc.on_read._State", side_effect=AssertionError):
            resolved = run(resolve(source, 1, to_micros(at(3))), stored.read)
    np.testing.assert_allclose(resolved.vectors[0], family.value(0, 1, 3), rtol=1e-4)


def test_an_expired_row_of_a_rolled_back_version_dates_the_value() -> None:
    """As a materialization has it: the row's expiry is the last thing that happened."""
    family = Family(
        dims=[2, 2, 2],
        rows=[Row(1, 1, 14, (1.0, 2.0)), Row(2, 1, 10, (3.0, 4.0))],
        active={1: [(1, None)], 2: [(3, 12)]},
        ttl_hours=5,
    )
    now = to_micros(at(17))
    with tempfile.TemporaryDirectory() as folder:
        source = family.write(Path(folder)).view(0).batch_source
        source.last_updated_timestamp = at(13)
        stored = Stored(family.rows, [1])
        resolved = run(resolve(source, 1, now), stored.read)
        assert resolved.instants == written(source, stored, now)[2] == to_micros(at(15)) + 1
