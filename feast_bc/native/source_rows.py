"""Point-in-time join over parquet files wherever they are, read through Arrow.

Keys and timestamps stream into DuckDB's join; the vectors of the rows that win are read afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
from feast.data_source import DataSource

from feast_bc.columns.arrays import Matrix, RowNumbers
from feast_bc.columns.vectors import to_matrix
from feast_bc.native.batch_source import column_in
from feast_bc.native.file_parts import FilePart
from feast_bc.native.joined_rows import NO_ROW
from feast_bc.native.point_in_time import NewestRows, newest_row_at
from feast_bc.native.reading import reading
from feast_bc.native.vector_batches import rewritten


class SourceRows:
    """The native vectors of one version in parquet files: `JoinableRows`.

    Args:
        connection: from `point_in_time.connect`.
        rows: the files.
        source: their source.
        feature: the vector column, as named after the field mapping.
        dim: the dimension of its vectors.
        of: what it is, for error messages.
        unchanged: the column (after the field mapping) that says from when an entity's input is
            unchanged; None if that is of no interest.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: FilePart,
        source: DataSource,
        feature: str,
        dim: int,
        of: str,
        *,
        unchanged: str | None = None,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._source = source
        self._vector = column_in(source, feature)
        self._unchanged = column_in(source, unchanged) if unchanged else None
        self._dim = dim
        self._of = of

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
        source, created = self._source, self._source.created_timestamp_column
        named = {f"k{i}": column_in(source, key) for i, key in enumerate(keys)}
        named["at"] = column_in(source, source.timestamp_field)
        if created:
            named["created"] = column_in(source, created)
        if self._unchanged:
            named["unchanged"] = self._unchanged
        fields = [
            pa.field(name, self._rows.schema.field(column).type) for name, column in named.items()
        ]
        schema = pa.schema([*fields, pa.field("row", pa.int64())])
        reader = pa.RecordBatchReader.from_batches(schema, self._numbered(schema, named))
        self._connection.register("numbered", reader)
        columns = [f"k{i}" for i in range(len(keys))]
        columns += [
            f'CAST("{name}" AS TIMESTAMPTZ) AS "{name}"' for name in named if name[0] != "k"
        ]
        with reading(self._of):
            found = newest_row_at(
                self._connection,
                f'SELECT {", ".join(columns)}, "row" FROM numbered',  # noqa: S608
                entities,
                keys=list(keys.values()),
                timestamp=timestamp,
                ttl=ttl,
                with_created=bool(created),
                filter_by_created_timestamp=filter_by_created_timestamp,
                with_unchanged=self._unchanged is not None,
            )
        self._connection.unregister("numbered")
        return found

    def fetch(self, rows: RowNumbers) -> Matrix:
        """As `JoinableRows.fetch`.

        Raises:
            DimensionError: a vector is not what its version promises.
            InvalidVectorsError: likewise, or the files changed since they were found.
        """
        out = np.empty((len(rows), self._dim), np.float32)
        filled = 0
        for batch in self._rows.batches([self._vector], rows):
            matrix, _ = to_matrix(batch.column(0), self._dim, of=self._of)
            out[filled : filled + len(matrix)] = matrix
            filled += len(matrix)
        if filled != len(rows):
            raise rewritten(self._of)
        return out

    def _numbered(self, schema: pa.Schema, named: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The rows of a join, numbered; a row with a null vector is NO_ROW."""
        validity = self._rows.may_hold_nulls(self._vector)
        start = 0
        for batch in self._rows.batches([*named.values(), *([self._vector] if validity else [])]):
            row = np.arange(start, start := start + batch.num_rows)
            if validity:
                row[np.asarray(batch.columns[-1].is_null())] = NO_ROW
            columns = [*batch.columns[: len(named)], pa.array(row)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
