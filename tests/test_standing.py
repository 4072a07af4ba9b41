"""Which versions count between two cut-overs, against the activations themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.activation import NEVER, active_at, last_boundary, to_micros
from feast_bc.standing import Standing
from tests.families import Family, at
from tests.test_rule import HORIZON, activations


@settings(max_examples=100)
@given(data=st.data())
def test_against_the_activations(data: st.DataObject) -> None:
    versions = data.draw(st.integers(1, 4))
    active = {k: data.draw(activations()) for k in range(1, versions)}
    with tempfile.TemporaryDirectory() as folder:
        members = Family(dims=[2] * versions, rows=[], active=active).write(Path(folder)).versions
    for hour in range(-1, HORIZON + 2):
        now = to_micros(at(hour))
        standing = Standing.at(members, now)
        candidates = [
            m for m in members if m.version == 0 or active_at(m.activations, np.array([now]))[0]
        ]
        boundaries = {m.version: last_boundary(m.activations, now) for m in members[1:]}
        assert list(standing.candidates) == candidates[::-1]
        assert [m.version for m in standing.others] == [
            m.version
            for m in members[:0:-1]
            if m not in candidates and boundaries[m.version] is not None
        ]
        newest = candidates[-1].version
        assert standing.boundary == (boundaries.pop(newest, None) or NEVER)
        assert standing.latest_boundary == max(
            (b or NEVER for b in boundaries.values()), default=NEVER
        )
        # It holds for as long as it says.
        for other in range(-1, HORIZON + 2):
            if standing.holds_at(to_micros(at(other))):
                assert Standing.at(members, to_micros(at(other))) == standing
        assert standing.holds_at(now)
