"""Writing columns of vectors to Feast's PostgreSQL online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from psycopg.sql import SQL, Composed, Identifier

from feast_bc.columns.entity_keys import key_types, serialized_keys
from feast_bc.feast_internals import (
    postgres_connection,
    postgres_has_value_num,
    postgres_table,
    stored_name,
)
from feast_bc.online.postgres.copying import HEADER, TRAILER, Alike, by_length, pack
from feast_bc.online.writer import Decide, Known, ViewValues, filled

# It stays with its connection, empty: a table made anew for each batch would leave dead rows in
# PostgreSQL's own catalogs. Values up to a page's size are kept as they are; only the stored view's
# table compresses them. Feast hands PostgreSQL timestamps without a zone, and so do we: a session
# in another zone than UTC stores the same instants through either.
_STAGE = """
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
_COLUMNS = ("value", "value_text", "vector_value", "event_ts", "created_ts")


class PostgresWriter:
    """Writes all views of a batch in one transaction.

    Tables are taken in the order of their names, and a table's rows in that of their keys' lengths
    and bytes: of two writers one waits for the other, and neither for both.

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
        if not values:
            return
        version = self._config.entity_key_serialization_version
        entities = by_length(serialized_keys(keys, key_types(values[0].view), version))
        tables = [
            postgres_table(self._config.project, stored_name(each.view, self._config))
            for each in values
        ]
        with (
            postgres_connection(self._store, self._config) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.execute(_STAGE)
            with cursor.copy(_COPY) as copy:
                copy.write(HEADER)
                for number, each in enumerate(values):
                    for rows in _rows(number, each, entities, len(keys)):
                        copy.write(rows)
                copy.write(TRAILER)
            for table, number in sorted((table, number) for number, table in enumerate(tables)):
                if values[number].absent:
                    delete = _DELETE.format(table=Identifier(table))
                    cursor.execute(delete, (values[number].feature, number))
                    continue
                numbers = postgres_has_value_num(self._store, self._config, cursor, table)
                cursor.execute(_upsert(table, numbers=numbers), (values[number].feature, number))

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        self.write(keys, filled(decide(known.read())))


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
