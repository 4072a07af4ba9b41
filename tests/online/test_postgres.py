"""PostgreSQL holds the rows that Feast's own writer leaves, and gives what its own reader does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from feast import RepoConfig
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore

from benchmarks.postgres_server import connect
from feast_bc.columns.entity_keys import entity_key_protos, key_types
from feast_bc.online.postgres.reader import PostgresReader
from feast_bc.online.postgres.writer import PostgresWriter
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import STATES, VALUES, Request, Wanted
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import FeastWriter, ViewValues
from tests.support.families import EXAMPLE, USER, at, make_store
from tests.support.online_stores import close_connections
from tests.support.postgres_database import COUNT, KEYS, NOW, POOL, Database, views

DAY = 86_400_000_000


def batch(seed: int, now: int = NOW) -> list[ViewValues]:
    """What to write: each view has values for some entities, one view's longer than a page."""
    rng = np.random.default_rng(seed)
    written = []
    for view, dim in zip(views(), (3, 2500, 48, None), strict=True):
        rows = np.sort(rng.choice(COUNT, COUNT - 7, replace=False))
        instants = now + rng.integers(0, 200 * DAY, len(rows))
        stored: Any = None
        if view.name == "state":
            stored = rng.integers(0, 256, (len(rows), dim or 0), np.uint8)
        elif dim is not None:
            stored = rng.normal(size=(len(rows), dim)).astype(np.float32)
        written.append(ViewValues(view, rows, instants, stored))
    return written


@pytest.fixture(
    params=[{}, POOL, {"enable_openai_compatible_store": True}], ids=["one", "pool", "numbers"]
)
def pair(
    request: pytest.FixtureRequest, postgres: dict[str, Any]
) -> Iterator[tuple[Database, Database]]:
    """Two stores in one database: ours and stock."""
    made = Database(postgres, "ours", **request.param), Database(postgres, "stock", **request.param)
    yield made
    for each in made:
        each.close()


def write(database: Database, values: list[ViewValues]) -> None:
    writer = writer_for(database.store, database.config)
    assert isinstance(writer, PostgresWriter)
    writer.write(KEYS, values)


def write_stock(database: Database, values: list[ViewValues]) -> None:
    FeastWriter(database.store, database.config).write(KEYS, values)


def test_the_rows_are_stock_s(pair: tuple[Database, Database]) -> None:
    """Also where they stand over others, and over newer ones."""
    ours, stock = pair
    for values in (batch(0), batch(1), batch(2, NOW - 400 * DAY)):
        write(ours, values)
        write_stock(stock, values)
        found = ours.dump()
        assert found == stock.dump()
        assert all(len(rows) >= COUNT - 7 for rows in found.values())
        assert ours.staged() == 0
    assert {row[2] for row in found["all null"]} == {b""}


def test_rows_are_overwritten_whole(pair: tuple[Database, Database]) -> None:
    """Also columns that neither writer fills."""
    ours, stock = pair
    write(ours, batch(0))
    write_stock(stock, batch(0))
    for database in pair:
        table = psycopg.sql.Identifier(f"{database.config.project}_v1")
        change = psycopg.sql.SQL(
            "UPDATE {} SET value = 'x', value_text = 'x', vector_value = 'x', event_ts = now(), "
            "created_ts = now()"
        )
        with connect(database.server) as connection:
            connection.execute(change.format(table))
    assert ours.dump()["v1"][0][2] == b"x"
    write(ours, batch(0))
    write_stock(stock, batch(0))
    assert ours.dump() == stock.dump()


def test_nulls_that_only_we_read_are_deleted(pair: tuple[Database, Database]) -> None:
    """In the transaction that writes the others; for entities without a row too."""
    ours, _ = pair
    first = batch(0)
    write(ours, first)
    before = ours.dump()
    gone = replace(first[0], rows=np.arange(9), instants=first[0].instants[:9])
    write(ours, [replace(gone, stored=None, private=True), first[1]])
    assert set(ours.dump()["v1"]) < set(before["v1"])
    assert len(ours.dump()["v1"]) == len(before["v1"]) - np.isin(first[0].rows, np.arange(9)).sum()
    assert {**ours.dump(), "v1": []} == {**before, "v1": []}
    assert ours.staged() == 0


def test_a_session_s_time_zone(postgres: dict[str, Any]) -> None:
    """Feast hands over instants without a zone; what the session makes of them is the same."""
    zone = psycopg.sql.SQL("ALTER DATABASE {} SET timezone = 'America/New_York'")
    reset = psycopg.sql.SQL("ALTER DATABASE {} RESET timezone")
    name = psycopg.sql.Identifier(postgres["database"])
    with connect(postgres) as connection:
        connection.execute(zone.format(name))
    try:
        ours, stock = Database(postgres, "ours"), Database(postgres, "stock")
        write(ours, batch(0))
        write_stock(stock, batch(0))
        assert ours.dump() == stock.dump()
        ours.close()
        stock.close()
    finally:
        with connect(postgres) as connection:
            connection.execute(reset.format(name))


def test_a_write_that_fails_leaves_nothing(pair: tuple[Database, Database]) -> None:
    """And the connection goes on: a pool of two outlives any number of failures."""
    ours, _ = pair
    write(ours, batch(0))
    before = ours.dump()
    check = "ALTER TABLE ours_v1 ADD CONSTRAINT narrow CHECK (length(value) < 10) NOT VALID"
    with connect(ours.server) as connection:
        connection.execute(check)
    for _ in range(4):
        with pytest.raises(psycopg.errors.CheckViolation):
            write(ours, batch(1))
    assert ours.dump() == before
    assert ours.staged() == 0
    with connect(ours.server) as connection:
        connection.execute("ALTER TABLE ours_v1 DROP CONSTRAINT narrow")
    write(ours, batch(1))
    assert ours.dump() != before


def test_values_that_do_not_fit_end_the_copy(pair: tuple[Database, Database]) -> None:
    ours, _ = pair
    values = batch(0)
    broken = [*values[:-1], replace(values[-1], instants=values[-1].instants[:3])]
    with pytest.raises(IndexError):
        write(ours, broken)
    assert not any(ours.dump().values())
    write(ours, values)
    assert all(ours.dump().values())


def test_two_writers_wait_for_each_other_in_one_order(postgres: dict[str, Any]) -> None:
    """Whatever order they are given the views in: PostgreSQL would end one of them otherwise."""
    databases = [Database(postgres, "ours"), Database(postgres, "ours")]

    def work(number: int) -> None:
        for seed in range(15):
            write(databases[number], batch(seed)[:: 1 if number else -1])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    stock = Database(postgres, "stock")
    write_stock(stock, batch(14))
    for view, rows in stock.dump().items():
        assert {row[:2] for row in rows} <= {row[:2] for row in databases[0].dump()[view]}
    for each in (*databases, stock):
        each.close()


def test_nothing_to_write(pair: tuple[Database, Database]) -> None:
    ours, _ = pair
    write(ours, [])
    assert not any(ours.dump().values())


def test_similarity_search_is_left_to_feast(postgres: dict[str, Any]) -> None:
    config = RepoConfig(
        project="test",
        provider="local",
        registry="unused.db",
        online_store={"type": "postgres", **postgres, "vector_enabled": True},
        entity_key_serialization_version=3,
    )
    assert isinstance(writer_for(PostgreSQLOnlineStore(), config), FeastWriter)


@pytest.mark.parametrize("options", [{}, POOL], ids=["one", "pool"])
@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_the_reader_gives_what_feast_s_gives(
    serving: Any, options: dict[str, object], postgres: dict[str, Any], tmp_path: Path
) -> None:
    online = {"type": "postgres", **postgres, **options}
    store = make_store(tmp_path, online=online)
    family = replace(EXAMPLE, serving=serving)
    store.apply([USER, *family.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    view = store.get_feature_view("user_embedding_v0")
    database = store._get_provider().online_store
    users = pa.table({"user_id": pa.array([3, 9, 1, 2, 1, *range(100, 140)], pa.int64())})
    ours = reader_for_table(database, store.config, view, users)
    assert isinstance(ours, PostgresReader)
    protos = entity_key_protos(users, key_types(view))
    stock = StoreReader(database, store.config, view, protos)
    natives = (Wanted("natives", 0), Wanted("natives", 1))
    values = (VALUES,) if serving == "materialized" else natives
    requests = [
        Request((*values, STATES)),
        Request(values, np.array([2, 1])),
        Request(values, np.array([], np.int64)),
    ]
    found = [ours.read(request) for request in requests]
    assert [list(map(list, columns)) for columns in found] == [
        list(map(list, stock.read(request))) for request in requests
    ]
    assert found[0][0][1] is None
    assert found[0][0][2]
    close_connections(database)

    async def read() -> list[Any]:
        columns = [await ours.read_async(request) for request in requests]
        for each in (database._conn_async, database._conn_pool_async):
            if each is not None:
                await each.close()
        return columns

    assert asyncio.run(read()) == found


@pytest.mark.parametrize("options", [{}, POOL], ids=["one", "pool"])
def test_a_read_that_fails_gives_its_connection_back(
    options: dict[str, object], postgres: dict[str, Any], tmp_path: Path
) -> None:
    store = make_store(tmp_path, online={"type": "postgres", **postgres, **options})
    view = EXAMPLE.write(tmp_path).feature_views()["user_embedding_v0"]
    store.apply([USER, view])
    database = store._get_provider().online_store
    users = pa.table({"user_id": pa.array([1], pa.int64())})
    reader = reader_for_table(database, store.config, view, users)
    missing = Request((Wanted("natives", 1),))  # not applied: there is no such table
    for _ in range(4):
        with pytest.raises(psycopg.errors.UndefinedTable):
            reader.read(missing)
    assert list(reader.read(Request((VALUES,)))[0]) == [None]
    close_connections(database)
