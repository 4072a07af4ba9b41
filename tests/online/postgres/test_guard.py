"""PostgreSQL: what is decided over a row is written only where the row is as it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureView

from benchmarks.postgres_server import connect
from feast_bc.columns.arrays import Mask
from feast_bc.columns.encoding import decode_bytes
from feast_bc.errors import MaterializationError
from feast_bc.online.request import VALUES, Column, Request
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import Known, ViewValues
from tests.support.postgres_database import KEYS, NOW, POOL, Database, Rows, views

WRITERS, TURNS = 3, 12
VECTORS, STATES = views()[0], views()[2]
ALL = np.arange(len(KEYS))

_FAIL = """
CREATE SEQUENCE tried;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tried') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail AFTER INSERT ON ours_v1 FOR EACH STATEMENT EXECUTE FUNCTION fail();
"""


class Counter:
    """Counts, in the states and in vectors, how often each entity was written to.

    Args:
        database: where.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.gap: Callable[[], object] = lambda: None
        """What others do after a reading."""

    def read(self, rows: Sequence[int], view: FeatureView = STATES) -> Column:
        keys = KEYS.take(pa.array(rows))
        store, config = self.database.store, self.database.config
        (column,) = reader_for_table(store, config, view, keys).read(Request((VALUES,)))
        return column

    def counts(self, rows: Sequence[int]) -> np.ndarray:
        return _counts(self.read(rows))

    def update(self, rows: Sequence[int], decide: Callable[[np.ndarray], list[ViewValues]]) -> None:
        def read() -> Column:
            column = self.read(rows)
            gap, self.gap = self.gap, lambda: None
            gap()
            return column

        writer = writer_for(self.database.store, self.database.config)
        keys = KEYS.take(pa.array(rows))
        writer.update(keys, Known(STATES, read), lambda column: decide(_counts(column)))

    def count(self, rows: Sequence[int]) -> None:
        self.update(rows, lambda counts: values(counts + 1, np.ones(len(rows), bool)))


def _counts(column: Column) -> np.ndarray:
    return decode_bytes(column, 8).view(np.int64).ravel()


def values(counts: np.ndarray, some: Mask, *, states: bool = True) -> list[ViewValues]:
    """Counts of some entities as vectors, and as states; no vector where the count is 0."""
    rows, stamps = np.flatnonzero(some), np.full(int(some.sum()), NOW)
    vectors = counts[some].astype(np.float32)[:, None]
    empty = not counts[some].any()
    made = [ViewValues(VECTORS, rows, stamps, None if empty else vectors, private=True)]
    if states:
        encoded = counts[some].astype(np.int64).view(np.uint8).reshape(-1, 8)
        made.append(ViewValues(STATES, rows, stamps, encoded, private=True))
    return made


@pytest.fixture
def counters(postgres: dict[str, Any]) -> Iterator[list[Counter]]:
    """One per writer, each with a connection of its own."""
    databases = [Database(postgres, "ours") for _ in range(WRITERS)]
    yield [Counter(each) for each in databases]
    for each in databases:
        each.close()


def rows_of(counter: Counter, view: FeatureView) -> Rows:
    return counter.database.dump()[view.name]


def chosen(number: int) -> list[list[int]]:
    """To which entities a writer writes."""
    chance = np.random.default_rng(number)
    return [chance.choice(ALL, 15, replace=False).tolist() for _ in range(TURNS)]


def count_at_once(counters: Sequence[Counter]) -> None:
    """Each thread counts with its own one of the counters; nothing is lost, and values agree."""

    def work(number: int) -> None:
        for rows in chosen(number):
            counters[number].count(rows)

    with ThreadPoolExecutor(len(counters)) as pool:
        list(pool.map(work, range(len(counters))))
    expected = np.bincount(np.concatenate([np.ravel(chosen(n)) for n in range(len(counters))]))
    np.testing.assert_array_equal(counters[0].counts(range(len(expected))), expected)
    stored = counters[0].read(range(len(expected)), VECTORS)
    vectors = [int(np.frombuffer(value[-4:], "<f4")[0]) for value in stored if value]
    assert vectors == expected[expected > 0].tolist()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_no_update_is_lost(isolation: str, counters: list[Counter]) -> None:
    """Of entities that are there and of new ones, in any order of the keys."""
    for each in counters:
        with each.database.store._get_conn(each.database.config, autocommit=True) as connection:
            connection.execute(f"SET default_transaction_isolation = '{isolation}'")
    count_at_once(counters)


@pytest.mark.parametrize("connections", [{}, *({**POOL, "max_conn": most} for most in (1, 2))])
def test_threads_share_a_store(connections: dict[str, object], postgres: dict[str, Any]) -> None:
    """Its only connection too: a transaction of one thread must not take in what another does."""
    database = Database(postgres, "ours", **connections)
    count_at_once([Counter(database)] * WRITERS)
    database.close()


def test_only_entities_that_changed_are_decided_again(counters: list[Counter]) -> None:
    ours, theirs, _ = counters
    ours.count([0, 1, 2])
    asked = []

    def decide(counts: np.ndarray) -> list[ViewValues]:
        asked.append(counts.tolist())
        return values(counts + 10, np.ones(len(counts), bool))

    ours.gap = lambda: theirs.count([1, 4])
    ours.update([0, 1, 2, 3, 4], decide)
    assert asked == [[1, 1, 1, 0, 0], [11, 2, 11, 10, 1]]
    assert ours.counts(range(5)).tolist() == [11, 12, 11, 10, 11]


def test_a_state_that_goes_in_the_gap(counters: list[Counter]) -> None:
    ours, theirs, _ = counters
    ours.count([0, 1])
    gone = ViewValues(STATES, np.arange(1), np.array([NOW]), None, private=True)
    ours.gap = lambda: theirs.update([1], lambda _: [gone])
    ours.count([0, 1])
    assert ours.counts([0, 1]).tolist() == [2, 1]


def test_a_row_that_somebody_left_without_a_value(counters: list[Counter]) -> None:
    """It reads as no state, and must not be waited for without end."""
    ours = counters[0]
    ours.count([0, 1])
    with connect(ours.database.server) as connection:
        connection.execute("UPDATE ours_state SET value = NULL")
    ours.count([0, 1, 2])
    ours.update([0, 3], lambda counts: values(counts, counts == 0, states=False))
    assert ours.counts(range(4)).tolist() == [1, 1, 1, 0]


def test_a_value_of_an_entity_without_a_state(counters: list[Counter]) -> None:
    """It must not take what others write in the gap, and it leaves no state behind."""
    ours, theirs, _ = counters

    def decide(counts: np.ndarray) -> list[ViewValues]:
        return values(counts, counts == 0, states=False)

    ours.update([0, 1], decide)
    assert rows_of(ours, STATES) == rows_of(ours, VECTORS) == []
    ours.gap = lambda: theirs.count([1])
    ours.update([0, 1], decide)
    assert len(rows_of(ours, STATES)) == len(rows_of(ours, VECTORS)) == 1
    assert ours.counts([0, 1]).tolist() == [0, 1]


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_a_batch_that_the_server_rolls_back_is_written_again(
    code: str, counters: list[Counter]
) -> None:
    ours = counters[0]
    with connect(ours.database.server) as connection:
        connection.execute(_FAIL.format(times=3, code=code))
    ours.count([0, 1])
    assert ours.counts([0, 1]).tolist() == [1, 1]


def test_a_server_that_rolls_back_without_end(counters: list[Counter]) -> None:
    ours = counters[0]
    ours.count([0])
    with connect(ours.database.server) as connection:
        connection.execute(_FAIL.format(times=10**6, code="40P01"))
    with pytest.raises(MaterializationError, match="rolled back the writing of 2 entities 10"):
        ours.count([0, 1])
    assert ours.counts([0, 1]).tolist() == [1, 0]
    assert ours.database.staged() == 0
