"""Writing columns of vectors to Feast's SQLite online store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, repeat

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.columns.arrays import Instants, RowNumbers
from feast_bc.columns.encoding import head_and_body
from feast_bc.columns.entity_keys import key_types, serialized_keys
from feast_bc.feast_internals import (
    sqlite_path,
    sqlite_table,
    sqlite_timestamp,
    stored_name,
)
from feast_bc.online.writer import Decide, Known, ViewValues, filled, naive_utc

# Feast's own statement. A feature without a text or a creation timestamp leaves those null.
_UPSERT = """
INSERT INTO {table} ({columns}) VALUES {rows}
ON CONFLICT(entity_key, feature_name) DO UPDATE SET
    value_text = NULL, created_ts = NULL, {assignments}
"""
_KEY = ("entity_key", "feature_name")
_DELETE = "DELETE FROM {table} WHERE entity_key = ? AND feature_name = ?"
# Every statement has a cost of its own; SQLite allows 999 parameters in all its versions.
_ROWS_PER_STATEMENT = 50
# How many seconds to wait for others who write: they hold the database for one batch.
_PATIENCE = 30


class SqliteWriter:
    """Writes all views of a batch in one transaction.

    The journal mode stays Feast's: WAL would stay set in the file, and each page that is new would
    be written twice (a fifth slower where it was tried).

    Args:
        store: the online store.
        config: the feature repo's configuration.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig) -> None:
        self._store = store
        self._config = config

    @staticmethod
    def supports(config: RepoConfig) -> bool:
        """Whether the store keeps nothing but values and vectors: no column of numbers."""
        return not config.online_store.enable_openai_compatible_store

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if values:
            with self._transaction() as connection:
                self._write(connection, keys, values)

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        with self._transaction() as connection:
            if values := filled(decide(known.read())):
                self._write(connection, keys, values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of our own, while nobody else writes to the database.

        Threads share Feast's connection, and whoever ends a transaction ends it for all of them.
        """
        path = sqlite_path(self._store, self._config)
        with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    def _write(
        self, connection: sqlite3.Connection, keys: pa.Table, values: Sequence[ViewValues]
    ) -> None:
        version = self._config.entity_key_serialization_version
        entities = serialized_keys(keys, key_types(values[0].view), version)
        # In key order, neighbours land on the same page of the tables' indexes.
        order = np.argsort(np.array(entities, object))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        for each in values:
            name = stored_name(each.view, self._config)
            table = sqlite_table(self._config.project, name)
            order = np.argsort(rank[each.rows])
            if each.absent:
                keys_of = ((entities[i], each.feature) for i in each.rows[order].tolist())
                connection.executemany(_DELETE.format(table=table), keys_of)
                continue
            encoded = each.encoded()
            columns: dict[str, Iterable[object]] = {
                "entity_key": [entities[i] for i in each.rows[order].tolist()],
                "feature_name": repeat(each.feature),
                "value": [encoded[i] for i in order.tolist()],
                "event_ts": _stored(each.instants[order]),
            }
            if self._config.online_store.vector_enabled:
                columns["vector_value"] = _vectors(each, order)
            _upsert(connection, table, columns)


def _upsert(
    connection: sqlite3.Connection, table: str, columns: Mapping[str, Iterable[object]]
) -> None:
    """Write rows, many with each statement."""
    parameters = list(chain.from_iterable(zip(*columns.values(), strict=False)))
    each = len(columns)
    assignments = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in _KEY)
    places = f"({', '.join('?' * each)})"
    full = len(parameters) // (each * _ROWS_PER_STATEMENT) * each * _ROWS_PER_STATEMENT
    for part, rows in ((parameters[:full], _ROWS_PER_STATEMENT), (parameters[full:], 1)):
        statement = _UPSERT.format(
            table=table,
            columns=", ".join(columns),
            rows=", ".join([places] * rows),
            assignments=assignments,
        )
        width = each * rows
        connection.executemany(
            statement, (part[start : start + width] for start in range(0, len(part), width))
        )


def _vectors(each: ViewValues, order: RowNumbers) -> Iterable[bytes | None]:
    """Vectors as sqlite-vec takes them; null where there is none."""
    if each.stored is None or each.stored.dtype == np.uint8:
        return repeat(None)
    _, bodies = head_and_body(each.stored[order])
    return (body.tobytes() for body in bodies)


def _stored(instants: Instants) -> list[int]:
    """Timestamps as Feast's SQLite adapter stores them."""
    distinct, codes = np.unique(instants, return_inverse=True)
    seconds = np.array([sqlite_timestamp(naive_utc(micros)) for micros in distinct.tolist()])
    stored: list[int] = seconds.astype(np.int64)[codes].tolist()
    return stored
