"""Writing columns of vectors to Feast's PostgreSQL online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from psycopg import Cursor
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.sql import SQL, Composed, Identifier

from feast_bc.columns.arrays import Mask
from feast_bc.columns.entity_keys import key_types, serialized_keys
from feast_bc.errors import MaterializationError
from feast_bc.feast_internals import (
    postgres_connection,
    postgres_has_value_num,
    postgres_table,
    stored_name,
)
from feast_bc.online.postgres.copying import HEADER, TRAILER, Alike, by_length, pack
from feast_bc.online.postgres.guard import Guard
from feast_bc.online.request import Column
from feast_bc.online.writer import Decide, Known, ViewValues, update_as_read

# It stays with its connection, empty: a table made anew for each batch would leave dead rows in
# PostgreSQL's own catalogs. Values up to a page's size are kept as they are; only the stored view's
# table compresses them. Feast hands PostgreSQL timestamps without a zone, and so do we: a session
# in another zone than UTC stores the same instants through either. Where a server's default is
# stricter, one entity that somebody else wrote would end the whole batch.
_STAGE = """
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
CREATE TEMPORARY TABLE IF NOT EXISTS pg_temp.feast_bc_staged
(number smallint, entity_key bytea, value bytea, event_ts timestamp)
WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS
"""
_COPY = """
COPY pg_temp.feast_bc_staged (number, entity_key, value, event_ts) FROM STDIN (FORMAT binary)
"""
# Columns that are not inserted are null, as Feast leaves them for vectors and bytes.
_UPSERT = SQL(
    """
    INSERT INTO {table} (entity_key, feature_name, value, event_ts)
    SELECT entity_key, %s, value, event_ts FROM pg_temp.feast_bc_staged WHERE number = %s
    ON CONFLICT (entity_key, feature_name) DO UPDATE SET {assignments}
    """
)
_DELETE = SQL(
    """
    DELETE FROM {table} AS stored USING pg_temp.feast_bc_staged AS staged
    WHERE stored.entity_key = staged.entity_key AND feature_name = %s AND number = %s
    """
)
# How many times in a row the server may roll back: it does so to end a deadlock with a client that
# takes rows in another order.
_ROLLBACKS = 10
_COLUMNS = ("value", "value_text", "vector_value", "event_ts", "created_ts")


class PostgresWriter:
    """Writes all views of a batch in one transaction.

    What is known of the entities is taken first, in the order of their keys. Then tables are taken
    in the order of their names, and a table's rows in that of their keys' lengths and bytes: of two
    writers one waits for the other, and neither for both.

    Args:
        store: the online store; its own connections are used, one at a time.
        config: the feature repo's configuration.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig) -> None:
        self._store = store
        self._config = config

    @staticmethod
    def supports(config: RepoConfig) -> bool:
        """Whether the store keeps nothing but values: no second copy for similarity search."""
        return not config.online_store.vector_enabled

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if values:
            entities = by_length(self._entities(keys, values[0].view))
            with self._transaction() as cursor:
                _stage(cursor, values, entities, len(keys))
                self._put(cursor, values)

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        """Write what is decided over what stands there, as `OnlineWriter.update` says.

        Raises:
            MaterializationError: the server rolled the same batch back again and again.
        """
        serialized = self._entities(keys, known.view)
        entities = by_length(serialized)
        rollbacks = 0

        def write(column: Column, values: Sequence[ViewValues]) -> Mask:
            nonlocal rollbacks
            guard = Guard(known.view, self._table(known.view), serialized, column)
            touched = guard.touched(values)
            if not touched.any():
                return touched
            over, claims = guard.split(values)
            try:
                with self._transaction() as cursor:
                    _stage(cursor, [*over, *claims], entities, len(keys))
                    numbers = range(len(over), len(over) + len(claims))
                    changed = guard.hold(cursor, touched, numbers)
                    self._put(cursor, over)
                    for number, each in zip(numbers, claims, strict=True):
                        if each.absent:
                            self._delete(cursor, each, number)
            except (DeadlockDetected, SerializationFailure) as error:
                rollbacks += 1
                if rollbacks == _ROLLBACKS:
                    raise _rolled_back(int(touched.sum()), error) from error
                return touched
            rollbacks = 0
            return changed

        update_as_read(len(keys), known, decide, write)

    def _entities(self, keys: pa.Table, view: FeatureView) -> list[bytes]:
        version = self._config.entity_key_serialization_version
        return serialized_keys(keys, key_types(view), version)

    def _table(self, view: FeatureView) -> str:
        return postgres_table(self._config.project, stored_name(view, self._config))

    @contextmanager
    def _transaction(self) -> Iterator[Cursor[Any]]:
        with (
            postgres_connection(self._store, self._config) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            yield cursor

    def _put(self, cursor: Cursor[Any], values: Sequence[ViewValues]) -> None:
        """Write staged values, each staged under its place among them."""
        tables = [self._table(each.view) for each in values]
        for table, number in sorted((table, number) for number, table in enumerate(tables)):
            each = values[number]
            if each.absent:
                self._delete(cursor, each, number)
                continue
            numbers = postgres_has_value_num(self._store, self._config, cursor, table)
            cursor.execute(_upsert(table, numbers=numbers), (each.feature, number))

    def _delete(self, cursor: Cursor[Any], each: ViewValues, number: int) -> None:
        """Delete the rows of a view that are staged under a number."""
        delete = _DELETE.format(table=Identifier(self._table(each.view)))
        cursor.execute(delete, (each.feature, number))


def _rolled_back(count: int, error: Exception) -> MaterializationError:
    return MaterializationError(
        f"PostgreSQL rolled back the writing of {count} entities {_ROLLBACKS} times in a row "
        f"({type(error).__name__}: {error}). Nothing of them was written. Other clients write to "
        "the same rows, in another order than feast-bc's or without end. Find them in "
        "pg_stat_activity, and write again when they are done."
    )


def _stage(
    cursor: Cursor[Any], values: Sequence[ViewValues], entities: Sequence[Alike], count: int
) -> None:
    """Copy values to the staging table, each under its place among them."""
    cursor.execute(_STAGE)
    with cursor.copy(_COPY) as copy:
        copy.write(HEADER)
        for number, each in enumerate(values):
            for rows in _rows(number, each, entities, count):
                copy.write(rows)
        copy.write(TRAILER)


def _rows(number: int, each: ViewValues, entities: Sequence[Alike], count: int) -> Iterator[bytes]:
    """The values of a view, for the `count` entities of a batch, as rows of the staging table."""
    place = np.full(count, -1, np.int64)
    place[each.rows] = np.arange(len(each.rows))
    for alike, keys in entities:
        there = place[alike] >= 0
        items = place[alike[there]]
        stored = None if each.stored is None else each.stored[items]
        yield pack(number, keys[there], each.instants[items], stored)


def _upsert(table: str, *, numbers: bool) -> Composed:
    """Feast's own statement over staged rows.

    Args:
        table: the stored view's table.
        numbers: whether it has a column of numbers too.
    """
    columns = map(Identifier, (*_COLUMNS, "value_num") if numbers else _COLUMNS)
    assignments = SQL(", ").join(SQL("{0} = EXCLUDED.{0}").format(name) for name in columns)
    return _UPSERT.format(table=Identifier(table), assignments=assignments)
