from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.activation import Activation, active_at, last_boundary, to_micros
from feast_bc.errors import CatalogError

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def at(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


@st.composite
def intervals(draw: st.DrawFn) -> Activation:
    start = draw(st.integers(0, 20))
    length = draw(st.none() | st.integers(0, 10))
    return Activation(at(start), None if length is None else at(start + length))


@given(activations=st.lists(intervals(), max_size=4))
@settings(max_examples=200)
def test_against_the_definition(activations):
    instants = np.arange(-2, 35, dtype=np.int64)

    def holds(t: int) -> bool:
        return any(
            a.active_from <= at(t) and (a.active_until is None or at(t) < a.active_until)
            for a in activations
        )

    expected = [holds(int(t)) for t in instants]
    np.testing.assert_array_equal(active_at(activations, instants), expected)
    # Between the last boundary and an instant nothing changes.
    for t in instants:
        edge = last_boundary(activations, int(t))
        since = [holds(u) for u in range(-2 if edge is None else edge, int(t) + 1)]
        assert len(set(since)) == 1


def test_instants_are_exact_to_the_microsecond():
    moment = datetime(2999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=5)))
    assert at(to_micros(moment)) == moment
    assert to_micros(EPOCH - timedelta(microseconds=1)) == -1


def test_naive_datetimes_are_refused():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(CatalogError, match="active_from 2026-01-01T00:00:00 has no time zone"):
        Activation(naive)
    with pytest.raises(CatalogError, match="active_until"):
        Activation(EPOCH, naive)


def test_an_interval_does_not_end_before_it_starts():
    with pytest.raises(CatalogError, match="lies before active_from"):
        Activation(at(2), at(1))
