"""What an online store knows of native rows, as bytes and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.arrays import NEVER
from feast_bc.rule import NONE, Rows, State
from feast_bc.rule.state import ENTRY

DIGESTS = np.array([7, 2**32 - 1, 9], np.uint32)
ALL = np.array([True, True, True])


def rows(*instants: int, valid: bool = True) -> Rows:
    found = np.array(instants)
    return Rows(found, (found != NEVER) & valid)


def test_nothing_is_known() -> None:
    state = State.empty(3, DIGESTS)
    for version in range(3):
        assert state.rows(version).instant.tolist() == [NEVER] * 3
        assert not state.rows(version).has_vector.any()
        assert not state.pushed(version).any()
        assert not state.written(version).any()
        assert state.giver(version).tolist() == [NONE] * 3


def test_what_is_known_comes_back() -> None:
    state = State.empty(3, DIGESTS)
    state.know(1, rows(5, NEVER, 0), ALL, pushed=False)
    state.know(2, rows(8, 8, 8), np.array([True, False, True]), pushed=True)
    state.know(0, rows(6, 6, 6, valid=False), np.array([False, True, False]), pushed=False)
    state.wrote(0, np.array([1, 2, NONE]), np.array([True, False, True]))
    for back in (state, State.decode(state.encode(), DIGESTS)):
        assert back.rows(0).instant.tolist() == [NEVER, 6, NEVER]
        assert back.rows(0).has_vector.tolist() == [False, False, False]
        assert back.rows(1).instant.tolist() == [5, NEVER, 0]
        assert back.rows(1).has_vector.tolist() == [True, False, True]
        assert back.rows(2).instant.tolist() == [8, NEVER, 8]
        assert back.pushed(2).tolist() == [True, False, True]
        assert not back.pushed(1).any()
        assert back.written(0).tolist() == [True, False, True]
        assert back.giver(0).tolist() == [1, NONE, NONE]


def test_a_later_row_replaces_all_that_was_known_of_the_version() -> None:
    state = State.empty(3, DIGESTS)
    state.know(1, rows(5, 5, 5), ALL, pushed=True)
    state.know(1, rows(4, NEVER, 6, valid=False), ALL, pushed=False)
    assert state.rows(1).instant.tolist() == [4, 5, 6]
    assert state.rows(1).has_vector.tolist() == [False, True, False]
    assert state.pushed(1).tolist() == [False, True, False]
    state.forget(1, np.array([True, False, False]))
    assert state.rows(1).instant.tolist() == [NEVER, 5, 6]


def test_a_view_whose_giver_is_no_longer_known_is_written_all_the_same() -> None:
    state = State.empty(3, DIGESTS)
    state.wrote(0, np.array([2, 2, 2]), ALL)
    state.lost_track(0, np.array([True, False, False]))
    assert state.giver(0).tolist() == [NONE, 2, 2]
    assert state.written(0).all()


def test_another_version_with_the_same_number_is_not_known() -> None:
    state = State.empty(3, DIGESTS)
    for version in range(3):
        state.know(version, rows(5, 5, 5), ALL, pushed=False)
        state.wrote(version, np.array([2, 2, 2]), ALL)
    other = State.decode(state.encode(), np.array([7, 8, 9], np.uint32))
    assert other.rows(0).instant.tolist() == [5] * 3
    assert other.rows(1).instant.tolist() == [NEVER] * 3
    assert not other.written(1).any()
    assert other.rows(2).instant.tolist() == [5] * 3


@given(known=st.integers(1, 3), stored=st.integers(1, 3))
@settings(max_examples=20)
def test_readers_and_writers_may_know_different_versions(known: int, stored: int) -> None:
    """Entries of unknown versions are kept as they are."""
    state = State.empty(3, DIGESTS[:stored])
    for version in range(stored):
        state.know(version, rows(5, 5, 5), ALL, pushed=False)
    width = max(State.width(known), State.width(stored))
    padded = np.zeros((3, width), np.uint8)
    padded[:, : State.width(stored)] = state.encode()
    back = State.decode(padded, DIGESTS[:known])
    for version in range(known):
        expected = 5 if version < stored else NEVER
        assert back.rows(version).instant.tolist() == [expected] * 3
    back.know(0, rows(9, 9, 9), ALL, pushed=True)
    again = State.decode(back.encode(), DIGESTS[: max(known, stored)])
    for version in range(1, stored):
        assert again.rows(version).instant.tolist() == [5] * 3


def test_sixteen_bytes_a_version() -> None:
    assert ENTRY.itemsize == 16
    assert State.empty(3, DIGESTS).encode().shape == (3, 48)


@pytest.mark.parametrize(
    ("valid", "pushed", "winner", "gave", "flags"),
    [
        (True, False, 1, "0300", "03"),
        (True, True, 0, "0200", "07"),
        (False, False, NONE, "0100", "01"),
        (False, True, None, "0000", "05"),
    ],
)
def test_the_bytes_of_an_entry(
    valid: bool, pushed: bool, winner: int | None, gave: str, flags: str
) -> None:
    """Little-endian digest and microseconds; who gave the value; the row; padding."""
    state = State.empty(1, np.array([0x0A0B0C0D], np.uint32))
    one = np.array([True])
    state.know(0, rows(0x0102030405060708, valid=valid), one, pushed=pushed)
    if winner is not None:
        state.wrote(0, np.array([winner]), one)
    assert state.encode().tobytes().hex() == "0d0c0b0a" + "0807060504030201" + gave + flags + "00"


def test_vectors_that_are_not_stored() -> None:
    state = State.empty(3, DIGESTS)
    some = np.array([True, False, True])
    state.know(1, rows(5, 5, NEVER), ALL, pushed=False, dropped=some)
    state.know(2, rows(5, 5, 5, valid=False), ALL, pushed=False, dropped=some)
    for back in (state, State.decode(state.encode(), DIGESTS)):
        assert back.dropped(0).tolist() == [False, False, False]
        assert back.dropped(1).tolist() == [True, False, False]
        assert not back.dropped(2).any()  # there is no vector
        assert back.rows(1).has_vector.tolist() == [True, True, False]
    state.know(1, rows(6, 6, 6), some, pushed=True)
    assert not state.dropped(1).any()
