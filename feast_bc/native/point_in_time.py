"""The point-in-time join of Feast in DuckDB, over native rows that are named by numbers.

The vectors stay where they are: those of the rows that win are read afterwards, once each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from feast_bc.columns.arrays import NEVER, Instants, Matrix, RowNumbers
from feast_bc.native.joined_rows import NO_ROW


class NewestRows(NamedTuple):
    """The newest native row at or before the time of each of `n` entity rows.

    Attributes:
        row: shape `(n,)`, its number; NO_ROW where there is none, or its vector is null.
        unchanged: shape `(n,)`, from when its entity's input is unchanged, in microseconds; NEVER
            where it does not say. None where it was not asked.
    """

    row: RowNumbers
    unchanged: Instants | None


class JoinableRows(Protocol):
    """The native rows of one version."""

    def join(
        self,
        entities: pa.Table,
        *,
        keys: Mapping[str, str],
        timestamp: str,
        ttl: timedelta | None,
        filter_by_created_timestamp: bool,
    ) -> NewestRows:
        """The newest native row at or before each entity row's time, as Feast joins it.

        Args:
            entities: the entity rows.
            keys: per key column, as named after the field mapping, the column of `entities`.
            timestamp, ttl, filter_by_created_timestamp: as for `newest_row_at`.

        Returns:
            As `newest_row_at`.
        """

    def fetch(self, rows: RowNumbers) -> Matrix:
        """The vectors of some rows.

        Args:
            rows: distinct, ascending, from `join`.

        Returns:
            float32 of shape `(len(rows), dim)`.

        Raises:
            DimensionError, InvalidVectorsError: a vector is not what its version promises.
            ProviderError: the files changed since they were joined.
        """


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to join with."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")  # naive timestamps are UTC, as in Feast
    connection.execute("SET enable_progress_bar = false")
    return connection


def newest_row_at(
    connection: duckdb.DuckDBPyConnection,
    native: str,
    entities: pa.Table,
    *,
    keys: Sequence[str],
    timestamp: str,
    ttl: timedelta | None,
    with_created: bool,
    filter_by_created_timestamp: bool,
    with_unchanged: bool = False,
    parameters: Mapping[str, object] | None = None,
) -> NewestRows:
    """The newest native row at or before each entity row's time, as Feast joins it.

    Args:
        connection: from `connect`.
        native: a relation in SQL. Its columns: the keys `k0`, `k1`, ...; `at`, and if they are
            asked for `created` and `unchanged`, TIMESTAMPTZ; `row`, a number, NO_ROW for a null
            vector.
        entities: the entity rows.
        keys: the columns of `entities` for `k0`, `k1`, ...
        timestamp: the timestamp column of `entities`, UTC.
        ttl: how old a row may be; None for any age.
        with_created: whether of equal instants the one created last counts. Of rows that are
            equal in that too, one with a vector, and the last of these.
        filter_by_created_timestamp: whether rows created after the entity row's time count as
            unknown then.
        with_unchanged: whether to tell from when the input of a row is unchanged.
        parameters: of the relation.
    """
    where = [f"native.k{i} = entity.k{i}" for i in range(len(keys))]
    where.append('native."at" <= entity."at"')
    order = ['native."at"']
    if ttl:
        micros = ttl // timedelta(microseconds=1)
        where.append(f'native."at" + to_microseconds({micros}) >= entity."at"')
    if with_created:
        order.append("coalesce(native.created, '-infinity'::TIMESTAMPTZ)")
        if filter_by_created_timestamp:
            where.append('native.created <= entity."at"')
    order.append('native."row"')
    wanted = {"row": 'native."row"'}
    if with_unchanged:  # max_by passes over nulls
        wanted["said"] = f"coalesce(epoch_us(native.unchanged), CAST('{NEVER}' AS BIGINT))"
    newest = [f'max_by({what}, ({", ".join(order)})) AS "{name}"' for name, what in wanted.items()]
    query = (
        f"SELECT entity.n, {', '.join(newest)} "  # noqa: S608
        "FROM entity "
        f"JOIN ({native}) native ON {' AND '.join(where)} GROUP BY entity.n"
    )
    entity = {f"k{i}": entities[column] for i, column in enumerate(keys)}
    entity["at"] = entities[timestamp].cast(pa.timestamp("us", "UTC"), safe=False)
    entity["n"] = pa.array(np.arange(len(entities)))
    connection.register("entity", pa.table(entity))
    joined = connection.execute(query, dict(parameters or {})).fetchnumpy()
    connection.unregister("entity")
    row = np.full(len(entities), NO_ROW, np.int64)
    row[joined["n"]] = joined["row"]
    if not with_unchanged:
        return NewestRows(row, None)
    unchanged = np.full(len(entities), NEVER, np.int64)
    unchanged[joined["n"]] = joined["said"]
    return NewestRows(row, unchanged)
