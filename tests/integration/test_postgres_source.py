"""Native rows of a real PostgreSQL: what it is asked gives what the rows say, of any types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from feast import RepoConfig
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLRetrievalJob,
)
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
    PostgreSQLSource,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from benchmarks.postgres_server import connect, empty
from feast_bc.columns.align import newest_rows
from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import to_micros
from feast_bc.errors import InvalidVectorsError
from feast_bc.feast_internals import ask_instead
from feast_bc.native.latest_rows import LatestRows, latest_rows
from feast_bc.native.native_vectors import read_native_vectors
from feast_bc.native.sql.jobs import job_table
from feast_bc.native.sql.queried_rows import QueriedRows
from tests.support.families import at
from tests.support.queried import content

ODD = ['user "id"', "événement", "made at", "Z"]
"""Names of columns that have to be quoted."""


@dataclass(frozen=True)
class Row:
    keys: tuple[Any, ...]
    hour: int | None
    made: int | None
    first: float | None


@dataclass
class Table:
    """A table of native rows with one or two keys.

    Attributes:
        key_types: PostgreSQL's types of the keys.
        names: of the columns: keys, event timestamp, created timestamp, vector.
        stamp: PostgreSQL's type of the timestamps.
        vector: and of the vectors.
    """

    server: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    key_types: Sequence[str] = ("bigint",)
    names: Sequence[str] = ("user_id", "event_timestamp", "created", "embedding")
    stamp: str = "timestamptz"
    vector: str = "real[]"
    name: str = "natives"

    def write(self, rows: Sequence[Row]) -> None:
        """Put rows in place of those that stand there."""
        with connect(self.server) as connection:
            table = Identifier(self.name)
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(table))
            types = [*self.key_types, self.stamp, self.stamp, self.vector]
            columns = SQL(", ").join(
                SQL("{} " + kind).format(Identifier(name))
                for name, kind in zip(self.names, types, strict=True)
            )
            connection.execute(SQL("CREATE TABLE {} ({})").format(table, columns))
        self.add(rows)

    def add(self, rows: Sequence[Row]) -> None:
        with connect(self.server) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            marks = SQL(", ").join([SQL("%s")] * len(self.names))
            insert = SQL("INSERT INTO {} VALUES ({})").format(Identifier(self.name), marks)
            for row in rows:
                hours = [None if h is None else at(h) for h in (row.hour, row.made)]
                vector = None if row.first is None else [row.first, 1.0]
                connection.execute(insert, (*row.keys, *hours, vector))

    def source(self, **options: Any) -> PostgreSQLSource:
        *keys, stamp, created, vector = self.names
        mapping = {stamp: "event_timestamp", created: "created", vector: "embedding"}
        mapping |= {key: f"key_{i}" for i, key in enumerate(keys)}
        return PostgreSQLSource(
            **{
                "name": "natives",
                "table": f'"{self.name}"',
                "timestamp_field": "event_timestamp",
                "created_timestamp_column": "created",
                "field_mapping": mapping,
                **options,
            }
        )

    @property
    def join_keys(self) -> list[str]:
        return [f"key_{i}" for i in range(len(self.key_types))]

    @property
    def config(self) -> RepoConfig:
        return RepoConfig(
            project="test",
            provider="local",
            registry="unused.db",
            offline_store={"type": "postgres", **self.server},
            online_store=None,
            entity_key_serialization_version=3,
        )

    def latest(self, hour: float, **options: Any) -> LatestRows:
        found = latest_rows(
            PostgreSQLOfflineStore(),
            self.config,
            self.source(**options),
            feature="embedding",
            join_keys=self.join_keys,
            end=at(hour),
        )
        assert isinstance(found, QueriedRows)
        return found


Content = dict[tuple[Any, ...], tuple[int, object]]


def expected(table: Table, rows: Sequence[Row], end: datetime) -> Content:
    """What this package finds to be the newest rows, where it has all of them."""
    known = [r for r in rows if r.hour is not None and at(r.hour) <= end]
    keys = pa.table(
        {
            name: [row.keys[i] for row in known] if known else pa.array([], pa.int64())
            for i, name in enumerate(table.join_keys)
        }
    )
    instants = np.array([to_micros(at(row.hour or 0)) for row in known], np.int64)
    made = np.array(
        [NEVER if row.made is None else to_micros(at(row.made)) for row in known], np.int64
    )
    vectors = np.array([row.first is not None for row in known], np.int64)
    return {
        known[i].keys: (
            int(instants[i]),
            None if known[i].first is None else [known[i].first, 1.0],
        )
        for i in newest_rows(keys, instants, made, vectors).tolist()
    }


KINDS: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.sampled_from([-1, 0, 7, 2**40]),
    "integer": st.sampled_from([-1, 0, 7]),
    "text": st.sampled_from(["a", "b", "", "it's", "back\\slash", "ü", "%s"]),
    "varchar(20)": st.sampled_from(["a", "b", "A"]),
    "bytea": st.sampled_from([b"", b"\x00", b"ab"]),
}


@pytest.fixture
def table(postgres: dict[str, Any]) -> Table:
    return Table(postgres)


@settings(max_examples=60)
@given(data=st.data())
def test_newest_rows_are_those_that_are_found_here(
    postgres_address: dict[str, Any], data: st.DataObject
) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
    names = [*ODD[:1], "more", *ODD[1:]] if len(kinds) == 2 else data.draw(st.sampled_from([ODD]))
    rows = data.draw(
        st.lists(
            st.builds(
                Row,
                st.tuples(*(KINDS[kind] for kind in kinds)),
                st.integers(0, 4) | st.none(),
                st.integers(0, 2) | st.none(),
                st.none() | st.integers(0, 99).map(float),
            ),
            max_size=14,
            # Of rows that differ in the vector alone, any may be taken.
            unique_by=lambda row: (row.keys, row.hour, row.made, row.first is None),
        )
    )
    found = Table(
        postgres_address,
        key_types=kinds,
        names=names,
        stamp=data.draw(st.sampled_from(["timestamptz", "timestamp"])),
        vector=data.draw(st.sampled_from(["real[]", "double precision[]"])),
    )
    found.write(rows)
    hour = data.draw(st.integers(0, 4))
    zone = data.draw(st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]))
    with connect(postgres_address) as connection:
        connection.execute(SQL("ALTER ROLE CURRENT_USER SET TimeZone TO {}").format(zone))
    # By name where there are few, or all of them.
    among = data.draw(st.sampled_from([QueriedRows._among, lambda *_: None]))
    try:
        with patch.object(QueriedRows, "_among", among):
            assert content(found.latest(hour)) == expected(found, rows, at(hour))
    finally:
        with connect(postgres_address) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET TimeZone")


def rows_of(count: int, hour: int = 1) -> list[Row]:
    return [Row((i,), hour, 0, float(i)) for i in range(count)]


def test_a_query_as_source(table: Table) -> None:
    table.write(rows_of(3))
    query = "SELECT * FROM natives WHERE user_id % 2 = 0"
    found = content(table.latest(2, table=None, query=query))
    assert {key: vector for key, (_, vector) in found.items()} == {
        (0,): [0.0, 1.0],
        (2,): [2.0, 1.0],
    }


def test_only_what_is_wanted_is_asked_for(table: Table, asked: Callable[[], list[str]]) -> None:
    table.write(rows_of(50))
    rows = table.latest(2)
    wanted = np.zeros(50, bool)
    wanted[[3, 41]] = True
    found = [(n.tolist(), column.to_pylist()) for n, column in rows.vectors(wanted, 100)]
    assert found == [([3, 41], [[3.0, 1.0], [41.0, 1.0]])]
    keys, named = asked()
    assert "fbc_vector" not in keys
    assert '"user_id" IN (3, 41)' in named


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    queries: list[str] = []

    def noted(job: Any, query: str) -> None:
        queries.append(query)
        ask_instead(job, query)

    monkeypatch.setattr("feast_bc.native.sql.sql_source.ask_instead", noted)
    return lambda: queries


@pytest.mark.parametrize("few", [True, False])
def test_rows_that_come_in_between_are_passed_over(
    table: Table, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    """They are the next run's; the rows that were planned with are still found."""
    planned = rows_of(8)
    if not few:
        monkeypatch.setattr(QueriedRows, "_among", first_refused(QueriedRows._among))
    table.write(planned)
    rows = table.latest(3)
    table.add([Row((-1,), 1, 0, 9.0), Row((2,), 2, 0, 9.0), Row((5,), 3, 0, None)])
    assert content(rows) == expected(table, planned, at(3))


def first_refused(among: Callable[[QueriedRows, Any], str | None]) -> Any:
    """As a long list of entities would be."""
    calls: list[int] = []

    def refuse(self: QueriedRows, rows: Any) -> str | None:
        calls.append(1)
        return None if len(calls) == 1 else among(self, rows)

    return refuse


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(
    "changed",
    [rows_of(4), rows_of(8, hour=2), [Row((i,), 1, 0, None) for i in range(8)]],
    ids=["removed", "dated anew", "nulls"],
)
def test_rows_that_were_planned_with_and_are_gone(
    table: Table, monkeypatch: pytest.MonkeyPatch, changed: list[Row], few: bool
) -> None:
    if not few:
        monkeypatch.setattr(QueriedRows, "_among", first_refused(QueriedRows._among))
    table.write(rows_of(8))
    rows = table.latest(3)
    table.write(changed)
    with pytest.raises(InvalidVectorsError, match="'natives' was rewritten"):
        content(rows)


def test_a_table_that_is_gone_is_named(table: Table) -> None:
    table.write(rows_of(8))
    rows = table.latest(3)
    empty(table.server)
    with pytest.raises(InvalidVectorsError, match=r"'natives' cannot be read .UndefinedTable"):
        content(rows)


def test_vectors_as_json_text(table: Table) -> None:
    table.vector = "text"
    with connect(table.server) as connection:
        connection.execute(
            "CREATE TABLE natives (user_id bigint, event_timestamp timestamptz, "
            "created timestamptz, embedding text)"
        )
        connection.execute("INSERT INTO natives VALUES (1, now(), now(), '[0.5,\n 2]')")
    vectors = read_native_vectors(
        table.source(), join_keys=table.join_keys, config=table.config
    ).take(np.array([0]))
    assert vectors.tolist() == [[0.5, 2.0]]


@pytest.mark.parametrize("names", [["user_id", "event_timestamp", "created", "embedding"], ODD])
def test_publishing_reads_in_batches(
    table: Table, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table.names = names
    rows = [Row((i % 5,), i // 5, 0, float(i)) for i in range(20)]
    table.write(rows[::-1])
    monkeypatch.setattr(PostgreSQLRetrievalJob, "to_arrow", None)
    native = read_native_vectors(table.source(), join_keys=table.join_keys, config=table.config)
    assert (native.rows, native.entities, native.dim) == (20, 5, 2)
    taken = native.take(np.asarray(native.latest["__row"]))
    assert dict(zip(native.latest["key_0"].to_pylist(), taken[:, 0].tolist(), strict=True)) == {
        str(i): float(15 + i) for i in range(5)
    }
    table.add([Row((-1,), 0, 0, 1.0)])
    with pytest.raises(InvalidVectorsError, match="was rewritten"):
        native.take(np.asarray(native.latest["__row"]))


VALUES = {
    "boolean": ["true", "null", "false"],
    "smallint": ["1", "-2", "null"],
    "integer": ["1", "-2", "null"],
    "bigint": ["1", "9007199254740993", "null"],
    "real": ["1.5", "null", "'NaN'"],
    "double precision": ["1.5", "null", "-0.0"],
    "text": ["'ü'", "''", "null"],
    "varchar": ["'x'", "'y'", "null"],
    "character(3)": ["'x'", "'y'", "null"],
    "bytea": ["'\\x00ff'", "''", "null"],
    "real[]": ["'{1.5,null}'", "'{}'", "null"],
    "double precision[]": ["'{1.5,2.5}'", "'{1}'", "null"],
    "integer[]": ["'{1,2}'", "'{3,4}'", "null"],
    "bigint[]": ["'{1,2}'", "null", "'[2:3]={3,4}'"],
    "timestamptz": ["'2026-01-01 12:00+02'", "null", "'1969-12-31 23:59:59.999999Z'"],
    "timestamp": ["'2026-01-01 12:00'", "null", "'1969-12-31 23:59:59.999999'"],
}


def test_types_and_values_are_those_that_feast_gives(table: Table) -> None:
    rows = [
        ", ".join(f'{values[i]}::{kind} AS "{kind}"' for kind, values in VALUES.items())
        for i in range(3)
    ]
    query = " UNION ALL ".join(f"SELECT {row}" for row in rows)
    job = PostgreSQLRetrievalJob(query=query, config=table.config, full_feature_names=False)
    ours, theirs = job_table(job, table.config), job.to_arrow()
    assert ours.schema == theirs.schema
    assert repr(ours.to_pydict()) == repr(theirs.to_pydict())


def test_other_types_are_left_to_feast(table: Table) -> None:
    query = "SELECT 1::bigint AS a, DATE '2026-01-01' AS b"
    job = PostgreSQLRetrievalJob(query=query, config=table.config, full_feature_names=False)
    assert job_table(job, table.config) == job.to_arrow()


def test_no_rows_have_their_types(table: Table) -> None:
    query = "SELECT 1::bigint AS a, '{1}'::real[] AS b WHERE false"
    job = PostgreSQLRetrievalJob(query=query, config=table.config, full_feature_names=False)
    found = job_table(job, table.config)
    assert found.schema == pa.schema([("a", pa.int64()), ("b", pa.list_(pa.float32()))])
    assert len(found) == 0


def test_an_array_of_two_dimensions_is_no_vector(table: Table) -> None:
    query = "SELECT '{{1,2},{3,4}}'::real[] AS a"
    job = PostgreSQLRetrievalJob(query=query, config=table.config, full_feature_names=False)
    with pytest.raises(InvalidVectorsError, match="array of 2 dimensions"):
        job_table(job, table.config)
