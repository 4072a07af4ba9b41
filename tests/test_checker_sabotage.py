"""The checker finds what it is meant to find: in stores that somebody tampered with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from feast_bc.errors import SourceChangedError
from tests.checker.clock import instant
from tests.checker.comparison import BrokenPromiseError
from tests.checker.histories import History
from tests.checker.oracle import Row
from tests.checker.promises import MATERIALIZED, ON_READ
from tests.checker.steps import (
    WHOLE,
    Activate,
    Apply,
    Arrive,
    Materialize,
    Publish,
    Push,
    Step,
)
from tests.checker.vectors import Family
from tests.checker.world import World

FAMILY = Family(
    name="user",
    keys={"user_id": "int64"},
    ids=[(1,), (2,), (3,)],
    dims=[3, 3],
    links={1: {"kind": "affine", "weight": [[1, 0, 0], [0, 2, 0], [0, 1, 1]], "bias": [0, 1, 2]}},
)
PUBLISHED: list[Step] = [
    Publish(10, 0, 0, (Row(0, 0, 1, 1), Row(0, 1, 1, 2))),
    Publish(10, 0, 1, (Row(1, 0, 2, 3),)),
    Activate(10, 0, 1, 5),
]
UPDATE = "UPDATE {name} SET value=? WHERE entity_key=?"
PUSH = Push(14, 0, 1, (Row(1, 1, 14, 5, pushed=True),), "online")


@pytest.fixture(params=[MATERIALIZED, ON_READ])
def serving(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(serving: str, tmp_path: Path) -> World:
    """Two versions, materialized at 11; entity 0 comes from version 1, entity 1 from version 0."""
    story = History(0, [FAMILY], "duckdb", serving, [])
    made = World(tmp_path, story, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    for step in [
        *PUBLISHED,
        Apply(10, 0, None, None, serving),
        Materialize(11, -1, WHOLE, 11, None),
    ]:
        made.take(step, 0)
    return made


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "online.db"


def table(world: World, version: int) -> str:
    """Where what a read of view 0 takes from a version stands."""
    view = FAMILY.view(0 if world.servings == [MATERIALIZED] else version)
    native = "" if world.servings == [MATERIALIZED] else "_native"
    return f"{world.repo.store.project}_{view}{native}"


def read(world: World) -> None:
    """Compare everything again, often: what is read is drawn by chance."""
    for seed in range(20):
        world.read(seed)


def run(
    database: Path, statement: str, *parameters: object, **tables: str
) -> list[tuple[bytes, ...]]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement.format(**tables), parameters).fetchall()


def test_nothing_is_found_where_nothing_is_wrong(world: World) -> None:
    read(world)
    world.take(PUSH, 0)
    read(world)
    world.finish()


def test_a_wrong_value(world: World, database: Path) -> None:
    name = table(world, 1)
    for key, data in run(database, "SELECT entity_key, value FROM {name}", name=name):
        changed = data[:-1] + bytes([data[-1] ^ 1])
        run(database, UPDATE, changed, key, name=name)
    with pytest.raises(BrokenPromiseError, match=r"found .* which comes from no row"):
        read(world)


def test_a_dropped_row(world: World, database: Path) -> None:
    run(database, "DELETE FROM {name}", name=table(world, 1))
    with pytest.raises(BrokenPromiseError, match=r"found (null|v0#1).*; expected v1#3"):
        read(world)


@pytest.mark.parametrize("serving", [MATERIALIZED], indirect=True)
def test_a_value_in_the_wrong_space(world: World, database: Path) -> None:
    here = table(world, 0)
    run(
        database,
        "UPDATE {here} SET value=(SELECT value FROM {there} o WHERE o.entity_key={here}.entity_key)"
        " WHERE entity_key IN (SELECT entity_key FROM {there} WHERE value!='')",
        here=here,
        there=here.replace("_v0", "_v1"),
    )
    with pytest.raises(BrokenPromiseError, match="in the space of version 1, not of version 0"):
        read(world)


def test_a_value_of_another_entity(world: World, database: Path) -> None:
    name = table(world, 0)
    first, second = run(database, "SELECT entity_key, value FROM {name} ORDER BY 1", name=name)
    for key, data in ((first[0], second[1]), (second[0], first[1])):
        run(database, UPDATE, data, key, name=name)
    with pytest.raises(BrokenPromiseError, match=r"entity . online"):
        read(world)


def test_a_stale_value(world: World, database: Path) -> None:
    name = table(world, 1)
    before = run(database, "SELECT value, entity_key FROM {name}", name=name)
    world.take(Arrive(12, 0, (Row(1, 0, 12, 4),)), 0)
    world.take(Materialize(13, -1, None, 13, None), 0)
    for data, key in before:
        run(database, UPDATE, data, key, name=name)
    with pytest.raises(BrokenPromiseError, match=r"found v1#3.*; expected v1#4"):
        read(world)


@pytest.mark.parametrize("serving", [MATERIALIZED], indirect=True)
def test_a_wrong_event_timestamp(world: World, database: Path) -> None:
    stamp = int(instant(3).timestamp())
    run(database, "UPDATE {name} SET event_ts=?", stamp, name=table(world, 1))
    with pytest.raises(BrokenPromiseError, match=r"event timestamp 0h\+3s; expected that of v"):
        read(world)


def test_a_changed_batch_source(world: World, tmp_path: Path) -> None:
    source = tmp_path / "user_0.parquet"
    pq.write_table(pq.read_table(source).slice(0, 1), source)
    with pytest.raises(SourceChangedError, match="it has 1 rows, had 2"):
        read(world)


def test_a_lost_push(world: World) -> None:
    with (
        patch.object(FeatureStore, "push"),
        pytest.raises(BrokenPromiseError, match="expected v1#5"),
    ):
        world.take(PUSH, 0)


def test_a_push_that_should_be_refused(world: World) -> None:
    ahead = Push(14, 0, 1, (Row(1, 1, 75, 5, pushed=True),), "online")
    with (
        patch.object(FeatureStore, "push"),
        pytest.raises(BrokenPromiseError, match="not refused with InvalidVectorsError"),
    ):
        world.take(ahead, 0)


def test_a_materialization_that_does_nothing(world: World) -> None:
    world.take(Arrive(12, 0, (Row(1, 0, 12, 4),)), 0)
    with (
        patch.object(FeatureStore, "materialize_incremental"),
        pytest.raises(BrokenPromiseError, match=r"found v1#3.*; expected v1#4"),
    ):
        world.take(Materialize(13, -1, None, 13, None), 0)
