"""Items shared out between workers."""

from __future__ import annotations

from threading import Barrier, current_thread, main_thread

import pytest

from feast_bc.online.sharing import share_out


def test_a_single_worker_stays_in_this_thread() -> None:
    done: list[tuple[int, bool]] = []
    share_out(range(3), [lambda item: done.append((item, current_thread() is main_thread()))])
    assert done == [(0, True), (1, True), (2, True)]


def test_each_worker_does_one_thing_at_a_time() -> None:
    """Two of three items meet, so that two workers must be at it at once."""
    meeting, done = Barrier(2, timeout=60), []
    busy: dict[str, bool] = {}

    def work(name: str, item: int) -> None:
        assert not busy.get(name)
        busy[name] = True
        if item < 2:
            meeting.wait()
        done.append(item)
        busy[name] = False

    share_out(range(50), [lambda item: work("a", item), lambda item: work("b", item)])
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_it(workers: int) -> None:
    done = []

    def work(item: int) -> None:
        if item == 5:
            raise OSError("disk full")
        done.append(item)

    with pytest.raises(OSError, match="disk full"):
        share_out(range(10**6), [work] * workers)
    assert set(range(5)) <= set(done)
    assert len(done) < 10**6


def test_items_that_cannot_be_made() -> None:
    with pytest.raises(ZeroDivisionError):
        share_out((1 // (2 - i) for i in range(9)), [print, print])


def test_nothing_to_do() -> None:
    share_out([], [print, print])
