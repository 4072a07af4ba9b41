"""Point-in-time join over local parquet files that leaves the vectors where they are.

Feast's DuckDB store carries every vector through its joins. Here DuckDB joins keys and timestamps
and answers with row numbers; the vectors of the rows that win are read afterwards, once each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource

from feast_bc.columns.arrays import Matrix, RowNumbers
from feast_bc.columns.vectors import to_matrix
from feast_bc.errors import ProviderError
from feast_bc.native.batch_source import column_in, is_parquet_to_duckdb
from feast_bc.native.joined_rows import NO_ROW
from feast_bc.native.parquet_nulls import may_hold_nulls
from feast_bc.native.point_in_time import NewestRows, newest_row_at
from feast_bc.native.reading import reading

# A row's number is that of its file, and its place in the file in the lower bits.
_FILE_SHIFT = 40
_BATCH_ROWS = 16_384


class ParquetRows:
    """The native vectors of one version in local parquet files.

    Args:
        connection: from `connect`.
        source: a source for which `files` finds some.
        feature: the vector column, as named after the field mapping.
        dim: the dimension of its vectors.
        of: what it is, for error messages.
        unchanged: the column (after the field mapping) that says from when an entity's input is
            unchanged; None if that is of no interest.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: FileSource,
        feature: str,
        dim: int,
        of: str,
        *,
        unchanged: str | None = None,
    ) -> None:
        self._connection = connection
        self._source = source
        self._dim = dim
        self._of = of
        self._vector = column_in(source, feature)
        self._unchanged = column_in(source, unchanged) if unchanged else None
        self._files = files(connection, source)
        self._state = self._stat()

    def join(
        self,
        entities: pa.Table,
        *,
        keys: Mapping[str, str],
        timestamp: str,
        ttl: timedelta | None,
        filter_by_created_timestamp: bool,
    ) -> NewestRows:
        """As `JoinableRows.join`."""
        source = self._source
        created = source.created_timestamp_column
        native = {f"k{i}": _quoted(column_in(source, key)) for i, key in enumerate(keys)}
        stamp = _quoted(column_in(source, source.timestamp_field))
        native["at"] = f"CAST({stamp} AS TIMESTAMPTZ)"
        if created:
            native["created"] = f"CAST({_quoted(column_in(source, created))} AS TIMESTAMPTZ)"
        if self._unchanged:
            native["unchanged"] = f"CAST({_quoted(self._unchanged)} AS TIMESTAMPTZ)"
        row = f"(file_index::BIGINT << {_FILE_SHIFT}) + file_row_number"
        if any(may_hold_nulls(pq.read_metadata(file), self._vector) for file in self._files):
            row = f"CASE WHEN {_quoted(self._vector)} IS NULL THEN {NO_ROW} ELSE {row} END"
        native["row"] = row
        columns = ", ".join(f'{expression} AS "{name}"' for name, expression in native.items())
        with reading(self._of):
            return newest_row_at(
                self._connection,
                f"SELECT {columns} FROM read_parquet($files)",  # noqa: S608
                entities,
                keys=list(keys.values()),
                timestamp=timestamp,
                ttl=ttl,
                with_created=bool(created),
                filter_by_created_timestamp=filter_by_created_timestamp,
                with_unchanged=self._unchanged is not None,
                parameters={"files": self._files},
            )

    def fetch(self, rows: RowNumbers) -> Matrix:
        """As `JoinableRows.fetch`."""
        out = np.empty((len(rows), self._dim), np.float32)
        filled = 0
        for numbers, batch in self._batches(rows):
            start, stop = np.searchsorted(rows, [numbers.start, numbers.stop])
            if start == stop:
                continue
            wanted = batch.take(pa.array(rows[start:stop] - numbers.start))
            matrix, _ = to_matrix(wanted, self._dim, of=self._of)
            if len(matrix) == stop - start:
                out[start:stop] = matrix
                filled += len(matrix)
        if filled != len(rows) or self._stat() != self._state:
            raise ProviderError(
                f"{self._of}: its files were rewritten while they were read "
                f"({self._source.path}). Ask again."
            )
        return out

    def _batches(self, rows: RowNumbers) -> Iterator[tuple[range, pa.Array]]:
        """The vector column of all row groups that hold some of `rows`, with row numbers."""
        for number, file in enumerate(self._files):
            first = number << _FILE_SHIFT
            if not _any_between(rows, first, (number + 1) << _FILE_SHIFT):
                continue
            with pq.ParquetFile(file, pre_buffer=False) as parquet:
                for group in range(parquet.num_row_groups):
                    end = first + parquet.metadata.row_group(group).num_rows
                    if _any_between(rows, first, end):
                        for batch in parquet.iter_batches(
                            _BATCH_ROWS, row_groups=[group], columns=[self._vector]
                        ):
                            yield range(first, first + len(batch)), batch.column(0)
                            first += len(batch)
                    first = end

    def _stat(self) -> list[tuple[int, int, int]]:
        found = [os.stat(file) for file in self._files]
        return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found]


def files(connection: duckdb.DuckDBPyConnection, source: DataSource) -> list[str]:
    """The local parquet files that Feast's DuckDB store reads for a source, in its order.

    Empty for a source of another kind, and for one on remote storage.
    """
    if not is_parquet_to_duckdb(source) or "://" in source.path:
        return []
    found = connection.execute("SELECT file FROM glob($path)", {"path": source.path}).fetchall()
    return [file for (file,) in found]


def _any_between(rows: RowNumbers, start: int, stop: int) -> bool:
    first, last = np.searchsorted(rows, [start, stop])
    return bool(first < last)


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
