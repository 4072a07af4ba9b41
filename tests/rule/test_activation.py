from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.instants import to_datetime, to_micros
from feast_bc.errors import CatalogError
from feast_bc.rule import Activation, active_at
from feast_bc.rule.activation import boundaries

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@st.composite
def intervals(draw: st.DrawFn) -> Activation:
    start = draw(st.integers(0, 20))
    length = draw(st.none() | st.integers(0, 10))
    return Activation(to_datetime(start), None if length is None else to_datetime(start + length))


@given(activations=st.lists(intervals(), max_size=4))
@settings(max_examples=200)
def test_against_the_definition(activations: list[Activation]) -> None:
    instants = np.arange(-2, 35, dtype=np.int64)

    def holds(t: int) -> bool:
        at = EPOCH + timedelta(microseconds=t)
        return any(
            a.active_from <= at and (a.active_until is None or at < a.active_until)
            for a in activations
        )

    expected = [holds(int(t)) for t in instants]
    np.testing.assert_array_equal(active_at(activations, instants), expected)
    # Between two boundaries nothing changes.
    edges = {-100, *boundaries(activations)}
    for t in instants.tolist():
        since = max(edge for edge in edges if edge <= t)
        assert len({holds(u) for u in range(max(since, -2), t + 1)}) == 1


def test_instants_are_exact_to_the_microsecond() -> None:
    moment = datetime(2999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=5)))
    assert to_datetime(to_micros(moment)) == moment
    assert to_micros(EPOCH - timedelta(microseconds=1)) == -1


def test_naive_datetimes_are_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(CatalogError, match=r"^2026-01-01T00:00:00 has no time zone"):
        Activation(naive)
    with pytest.raises(CatalogError, match="has no time zone"):
        Activation(EPOCH, naive)


def test_an_interval_does_not_end_before_it_starts() -> None:
    with pytest.raises(CatalogError, match="lies before active_from"):
        Activation(to_datetime(2), to_datetime(1))
