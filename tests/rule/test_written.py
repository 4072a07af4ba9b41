"""From when on rows are news, given what a view was last written under."""

from __future__ import annotations

from feast_bc.rule import NOTHING, Written, news_since
from tests.support.plans import History

PLAN = History(0, 2, {1: [(5, 8)]}).plan()


def news(written: Written, start: int, end: int) -> int | None:
    return news_since(PLAN, written, start, end)


def under(until: int) -> Written:
    return Written(PLAN.digest, until)


def test_nothing_is_known() -> None:
    assert news(NOTHING, 2, 3) is None


def test_another_plan() -> None:
    assert news(Written(bytes([1]) * 32, 2), 2, 3) is None


def test_the_window_that_was_asked_for() -> None:
    assert news(under(2), 2, 3) == 2
    assert news(under(2), 1, 3) == 1
    assert news(under(2), 2, 2) == 2


def test_a_gap_before_the_window_is_closed() -> None:
    assert news(under(2), 3, 4) == 2


def test_a_cut_over_or_rollback_since_the_last_run() -> None:
    assert news(under(4), 4, 5) is None
    assert news(under(5), 4, 6) == 4  # it was written already
    assert news(under(7), 7, 9) is None


def test_an_end_before_the_last_one() -> None:
    assert news(under(4), 1, 3) is None
    assert news(under(4), 1, 4) == 1


def test_round_trip() -> None:
    record = Written(PLAN.digest, 1_767_225_600_000_001)
    assert Written.decode(record.encode()) == record
    assert Written.decode(NOTHING.encode()) == NOTHING
    for other in (None, b"", record.encode()[:-1]):
        assert Written.decode(other) == NOTHING
