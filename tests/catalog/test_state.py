"""The fold of a history against a brute-force oracle."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import (
    ACTIVATE,
    CONTRACT,
    END_CONTRACT,
    RETIRE,
    ROLLBACK,
    Event,
    Kind,
)
from feast_bc.catalog.state import State, fold
from feast_bc.errors import CatalogError
from tests.support.catalogs import T0

PUBLISHED = State(manifests=tuple(4 * ["0" * 64]))
"""Versions 0, 1, 2, 3."""


@given(
    script=st.lists(
        st.tuples(
            st.sampled_from([ACTIVATE, ROLLBACK, RETIRE]), st.integers(1, 3), st.integers(0, 5)
        ),
        max_size=15,
    )
)
@settings(max_examples=300)
def test_folding_against_a_brute_force_oracle(script: list[tuple[Kind, int, int]]) -> None:
    """The oracle keeps plain lists; events that it deems impossible must be refused."""
    accepted: list[Event] = []
    intervals: dict[int, list[list[int | None]]] = {1: [], 2: [], 3: []}
    retired, released = set(), None
    for kind, version, hour in script:
        mine = intervals[version]
        is_open = bool(mine) and mine[-1][1] is None
        possible = {
            ACTIVATE: not is_open,
            ROLLBACK: is_open and hour >= (mine[-1][0] or 0),
            RETIRE: True,
        }[kind]
        at = None if kind == RETIRE else T0 + timedelta(hours=hour)
        event = Event.new(kind, version, at)
        if not possible:
            with pytest.raises(CatalogError, match=f"event {len(accepted) + 1}: "):
                fold([*accepted, event], PUBLISHED)
            continue
        accepted.append(event)
        if kind == ACTIVATE:
            mine.append([hour, None])
            released = max(v for v, some in intervals.items() if some and some[-1][1] is None)
        elif kind == ROLLBACK:
            mine[-1][1] = hour
        else:
            retired.add(version)
    state = fold(accepted, PUBLISHED)
    assert state.retired == retired
    for version, expected in intervals.items():
        found = [
            [
                None if t is None else (t - T0) // timedelta(hours=1)
                for t in (a.active_from, a.active_until)
            ]
            for a in state.activations.get(version, ())
        ]
        assert found == expected
    assert state.released == released


TERMS = Contract(consumer="churn_model", check="churn_check:evaluate", tolerance=0.01)
OTHERS = Contract(consumer="churn_model", check="churn_check:evaluate", tolerance=0.5)


def test_one_contract_of_each_consumer_until_it_ends() -> None:
    state = PUBLISHED
    begun = state.after(Event.new(CONTRACT, 1, contract=TERMS))
    assert begun.contracts == {1: (TERMS,)}
    for event, message in (
        (Event.new(CONTRACT, 1, contract=OTHERS), "has a contract of churn_model already"),
        (Event.new(END_CONTRACT, 1, contract=OTHERS), "has another contract of churn_model"),
        (Event.new(END_CONTRACT, 0, contract=TERMS), "version 0 has another contract"),
        (Event.new(CONTRACT, 1), "names no contract"),
        (Event.new(CONTRACT, 7, contract=TERMS), "which is not published"),
    ):
        with pytest.raises(CatalogError, match=message):
            begun.after(event)
    assert begun.after(Event.new(CONTRACT, 0, contract=OTHERS)).contracts[0] == (OTHERS,)
    assert begun.after(Event.new(END_CONTRACT, 1, contract=TERMS)).contracts == {}
    retired = state.after(Event.new(RETIRE, 1))
    with pytest.raises(CatalogError, match="version 1 is retired"):
        retired.after(Event.new(CONTRACT, 1, contract=TERMS))
