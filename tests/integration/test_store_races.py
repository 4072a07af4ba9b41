"""Materializations and pushes that write to the same entities of an online store at once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore
from feast.infra.registry.sql import SqlRegistryConfig

from feast_bc.errors import MaterializationError
from tests.support.families import USER, Family, Row, at, make_store
from tests.support.gaps import in_the_gap
from tests.support.online_stores import close_connections
from tests.support.pushes import FAMILY, NOW, check, frame, push, with_rows
from tests.support.schedules import apply

Online = dict[str, object] | None
Case = tuple[Family, Online]
NEWER, OLDER = Row(2, 1, 8, (5, 5)), Row(1, 1, 9, (5, 6, 7))
"""Of user 1, who has no row of version 2 yet: its vector wins, however old the other one is."""

OPENED: list[FeatureStore] = []
"""The stores of the running test."""

RACERS, PUSHES, RUNS = 3, 25, 4
USERS = range(6)


def opened(folder: Path, online_store: Online) -> FeatureStore:
    """A store as each process has one; two that write a file registry at once may corrupt it."""
    path = f"sqlite:///{folder / 'registry.sqlite'}"
    registry = SqlRegistryConfig(registry_type="sql", path=path, cache_ttl_seconds=3600)
    store = make_store(folder, online=online_store, registry=registry)
    OPENED.append(store)
    return store


def prepared(folder: Path, family: Family, online_store: Online) -> FeatureStore:
    store = opened(folder, online_store)
    apply(store, family, folder)
    store.materialize(at(-1), at(NOW))
    return store


@pytest.fixture(
    params=[
        ("materialized", "sqlite_store"),
        ("materialized", "redis_store"),
        ("on_read", "redis_store"),
        ("materialized", "postgres_store"),
        ("on_read", "postgres_pool"),
    ],
    ids="-".join,
)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """A family, and Feast's configuration of the online store; None for SQLite."""
    serving, online_store = request.param
    yield replace(FAMILY, serving=serving), request.getfixturevalue(online_store)
    while OPENED:
        close_connections(OPENED.pop()._get_provider().online_store)


@pytest.fixture
def sqlite_store() -> None:
    return None


@pytest.fixture
def postgres_store(postgres: dict[str, Any]) -> dict[str, object]:
    return {"type": "postgres", **postgres}


@pytest.fixture
def postgres_pool(postgres_store: dict[str, object]) -> dict[str, object]:
    """Of one connection: whoever needs a second while it holds the first waits for ever."""
    return {**postgres_store, "conn_type": "pool", "min_conn": 1, "max_conn": 1}


@pytest.mark.parametrize(("first", "second"), [(OLDER, NEWER), (NEWER, OLDER)])
def test_pushes_of_two_versions(first: Row, second: Row, case: Case, tmp_path: Path) -> None:
    family, online_store = case
    store = prepared(tmp_path, family, online_store)
    other = opened(tmp_path, online_store)
    with in_the_gap(lambda: push(other, [second])):
        push(store, [first])
    check(store, with_rows(family, [first, second]))


def test_pushes_of_one_version(case: Case, tmp_path: Path) -> None:
    """Of several users only some are pushed by both."""
    family, online_store = case
    store = prepared(tmp_path, family, online_store)
    other = opened(tmp_path, online_store)
    mine = [Row(2, 1, 8, (5, 5)), Row(2, 2, 8, (6, 6))]
    theirs = [Row(2, 1, 9, (7, 7)), Row(2, 3, 9, (8, 8))]
    with in_the_gap(lambda: push(other, theirs)):
        push(store, mine)
    check(store, with_rows(family, [*mine, *theirs]))


@pytest.mark.parametrize("reading", [1, 2, 3])
def test_a_push_while_its_entity_is_materialized(reading: int, case: Case, tmp_path: Path) -> None:
    """A run has several batches: one for each version that gives values, and one for nulls."""
    family, online_store = case
    store = prepared(tmp_path, family, online_store)
    other = opened(tmp_path, online_store)
    pushed = [NEWER, Row(2, 99, 9, (6, 6))]
    with in_the_gap(lambda: push(other, pushed), reading=reading):
        store.materialize(at(-1), at(NOW), disable_event_timestamp=True)
    check(store, with_rows(family, pushed))


@pytest.mark.parametrize("reading", [1, 2])
def test_a_late_push_while_a_newer_row_is_materialized(
    reading: int, case: Case, tmp_path: Path
) -> None:
    """The row pushed is older than one of the batch source that the run brings.

    The user's views take their values from two versions: they are written in two batches.
    """
    family, online_store = case
    family = replace(family, active={1: [(1, None)]})
    store = prepared(tmp_path, family, online_store)
    brought, late = Row(2, 1, 9, (7, 7)), Row(2, 1, 8, (5, 5))
    family = with_rows(family, [brought])
    family.write(tmp_path)
    other = opened(tmp_path, online_store)
    with in_the_gap(lambda: push(other, [late]), reading=reading):
        store.materialize(at(-1), at(NOW), disable_event_timestamp=True)
    check(store, family)


@pytest.mark.parametrize("cut_over", [True, False])
def test_a_run_overtaken_by_another(cut_over: bool, case: Case, tmp_path: Path) -> None:
    """The other one runs under a newer plan, or up to a later instant.

    Who ends later is told, be it this run or the other one: SQLite makes one of them wait.
    """
    family, online_store = case
    before = replace(family, active={1: [(1, None)]})
    store = prepared(tmp_path, before, online_store)
    other = opened(tmp_path, online_store)
    after = family if cut_over else with_rows(before, [Row(1, 1, 6, (9, 9, 9))])
    views = after.write(tmp_path).feature_views().values()

    told = []

    def run(runner: FeatureStore, hour: float) -> None:
        try:
            runner.materialize(at(-1), at(hour), disable_event_timestamp=True)
        except MaterializationError as error:
            told.append(str(error))

    def overtake() -> None:
        other.apply([USER, *views])
        run(other, NOW)

    with in_the_gap(overtake):
        run(store, NOW if cut_over else 5)
    assert told or online_store is None  # a run that SQLite makes wait may begin after the other
    assert all("another run wrote to the same views" in error for error in told)
    store.refresh_registry()
    store.materialize_incremental(at(NOW))
    check(store, after)


def test_the_same_run_twice_at_once(case: Case, tmp_path: Path) -> None:
    family, online_store = case
    store = prepared(tmp_path, family, online_store)
    other = opened(tmp_path, online_store)
    with in_the_gap(lambda: other.materialize(at(-1), at(NOW))):
        store.materialize(at(-1), at(NOW))
    check(store, family)


def test_a_push_through_an_old_registry(case: Case, tmp_path: Path) -> None:
    """Its copy there does not know of the version that gives the values by now."""
    family, online_store = case
    before = replace(family, active={1: [(1, None)]})
    store = prepared(tmp_path, before, online_store)
    old = opened(tmp_path, online_store)
    push(old, [Row(1, 2, 8, (1, 1, 1))])
    apply(store, family, tmp_path)
    store.materialize_incremental(at(NOW))
    rows = [Row(1, 2, 8, (1, 1, 1)), Row(1, 3, 9, (9, 9, 9))]  # user 3 has version 2's vector
    push(old, rows[1:])
    check(store, with_rows(family, rows))


def pushed_by(number: int) -> list[list[Row]]:
    """What a process pushes: rows of one version each time, of instants that nobody else has."""
    chance = np.random.default_rng(number)
    pushes = []
    for turn in range(PUSHES):
        version = int(chance.integers(0, 3))
        dim = FAMILY.dims[version]
        hours = 4 + chance.random(2) * 5 + np.array([number, turn]) * 1e-6
        users = chance.choice(USERS, 2, replace=False).tolist()
        vectors = chance.integers(-9, 9, (2, dim)).astype(float)
        pushes.append(
            [
                Row(version, user, hour, tuple(vector))
                for user, hour, vector in zip(users, hours.tolist(), vectors, strict=True)
            ]
        )
    return pushes


def racing(folder: Path, online_store: Online, number: int, start: float) -> None:
    """One process of a race; number 0 materializes."""
    store = opened(folder, online_store)
    time.sleep(max(0.0, start - time.time()))
    if number:
        for rows in pushed_by(number):
            store.push(f"user_embedding_v{rows[0].version}_push", frame(rows))
        return
    for _ in range(RUNS):
        store.materialize(at(-1), at(NOW), disable_event_timestamp=True)


def all_at_once(work: Callable[..., None], arguments: Sequence[tuple[object, ...]]) -> None:
    """Processes that begin together."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    start = time.time() + 2
    children = [context.Process(target=work, args=(*each, start)) for each in arguments]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * len(children)


def test_many_pushes_and_materializations(case: Case, tmp_path: Path) -> None:
    """Whatever the order, all views end with what the rule says of all rows."""
    family, online_store = case
    store = prepared(tmp_path, family, online_store)
    all_at_once(racing, [(tmp_path, online_store, number) for number in range(RACERS + 1)])
    rows = [row for n in range(1, RACERS + 1) for rows in pushed_by(n) for row in rows]
    check(store, with_rows(family, rows))
