"""The latest native row per entity of a batch source; its vectors are handed out in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from feast_bc.columns.align import newest_rows
from feast_bc.columns.arrays import NEVER, Instants, Mask, RowNumbers
from feast_bc.columns.instants import to_micros
from feast_bc.columns.timestamps import to_instants, to_unchanged
from feast_bc.feast_internals import DUCKDB, RAY, is_a
from feast_bc.native.batch_source import is_parquet_to_duckdb, parquet_files
from feast_bc.native.batches import SourceBatches
from feast_bc.native.sql.sql_source import SqlSource
from feast_bc.native.vector_batches import VectorBatches, rewritten

VECTOR = "__feast_bc_vector"
TIMESTAMP = "__feast_bc_timestamp"
UNCHANGED = "__feast_bc_unchanged"
"""What the vector, its event timestamp and the instant from which the entity's input is unchanged
are called in a table of pulled native rows; the last one stands in it only if it was asked for."""

_MICROS = pa.timestamp("us", "UTC")
# A small write batch is no reason to read in small steps.
_READ_ROWS = 2**14


class LatestRows(Protocol):
    """One row per entity.

    Attributes:
        keys: the join keys, `m` rows.
        instants: shape `(m,)`, event timestamps in microseconds.
        has_vector: shape `(m,)`, whether the row's vector is not null.
        unchanged: shape `(m,)`, from when the entity's input is unchanged, NEVER where the row
            does not say; None where it was not asked for.
    """

    keys: pa.Table
    instants: Instants
    has_vector: Mask
    unchanged: Instants | None

    def vectors(self, wanted: Mask, batch_rows: int) -> VectorBatches:
        """The vectors of some rows.

        Args:
            wanted: shape `(m,)`, which rows.
            batch_rows: how many rows to hand out at once, at most.

        Yields:
            `(rows, column)`: row numbers, and their vectors.
        """


class PulledRows:
    """Rows that an offline store has handed over as one table.

    Args:
        table: join keys, `VECTOR`, `TIMESTAMP`, and `UNCHANGED` if it was asked for.
    """

    def __init__(self, table: pa.Table) -> None:
        own = {VECTOR, TIMESTAMP, UNCHANGED}
        self.keys = table.select([name for name in table.column_names if name not in own])
        self.instants = to_instants(table[TIMESTAMP])
        self.has_vector: Mask = np.asarray(table[VECTOR].is_valid())
        self.unchanged = said_unchanged(table)
        self._vectors = table[VECTOR]

    def vectors(self, wanted: Mask, batch_rows: int) -> VectorBatches:
        rows = np.flatnonzero(wanted)
        for start in range(0, len(rows), batch_rows):
            part = rows[start : start + batch_rows]
            yield part, self._vectors.take(pa.array(part))


class _Part(NamedTuple):
    """What is held of rows, until the newest row of each entity is known.

    Attributes:
        keys: the join keys.
        stamps: event timestamps; and creation timestamps, if the source has them.
        has_vector: whose vector is not null.
        rows: their numbers.
        unchanged: as in `LatestRows`.
    """

    keys: pa.Table
    stamps: Sequence[Instants]
    has_vector: Mask
    rows: RowNumbers
    unchanged: Instants | None

    @classmethod
    def of(
        cls,
        keys: pa.Table,
        stamps: Sequence[pa.Array],
        has_vector: pa.Array | None,
        start: int,
        unchanged: pa.Array | None,
    ) -> _Part:
        """A batch of rows that begins with a row number."""
        count = len(keys)
        return cls(
            keys,
            [to_instants(pa.chunked_array([stamp])) for stamp in stamps],
            np.ones(count, bool) if has_vector is None else np.asarray(has_vector),
            np.arange(start, start + count, dtype=np.int32),
            None if unchanged is None else to_unchanged(unchanged),
        )

    @classmethod
    def joined(cls, parts: Sequence[_Part]) -> _Part:
        """The rows of several parts."""
        keys, stamps, has_vector, rows, unchanged = zip(*parts, strict=True)
        return cls(
            # Taking rows from many chunks would join them each time.
            pa.concat_tables(keys).combine_chunks(),
            [np.concatenate(column) for column in zip(*stamps, strict=True)],
            np.concatenate(has_vector),
            np.concatenate(rows),
            None if parts[0].unchanged is None else np.concatenate(unchanged),
        )

    def until(self, end: int) -> _Part:
        """The rows that count at an instant, in microseconds: they have a timestamp before it."""
        instants = self.stamps[0]
        counts = (instants != NEVER) & (instants <= end)
        return self if counts.all() else self.take(np.flatnonzero(counts))

    def take(self, places: RowNumbers) -> _Part:
        """Some of the rows."""
        return _Part(
            self.keys.take(pa.array(places)),
            [stamps[places] for stamps in self.stamps],
            self.has_vector[places],
            self.rows[places],
            None if self.unchanged is None else self.unchanged[places],
        )

    def newest(self) -> _Part:
        """The newest row of each entity."""
        newest = newest_rows(self.keys, *self.stamps)
        return self if len(newest) == len(self.rows) else self.take(newest)


class StreamedRows:
    """Rows of parquet files, which are read twice: keys and timestamps first, vectors later.

    Vectors are never held for more than one batch, so memory grows with the number of rows, not
    with their dimension.

    Args:
        batches: reads the files.
        source: their source.
        feature: the vector column (after the field mapping).
        join_keys: the key columns.
        end: rows with a later timestamp do not count.
        unchanged: the column (after the field mapping) that says from when an entity's input is
            unchanged; None if that is of no interest.

    Raises:
        InvalidVectorsError: a file cannot be read.
    """

    def __init__(
        self,
        batches: SourceBatches,
        source: DataSource,
        *,
        feature: str,
        join_keys: Sequence[str],
        end: datetime,
        unchanged: str | None = None,
    ) -> None:
        self._of = f"source {source.name!r}"
        self._feature = feature
        self._batches = batches
        self._columns = [*join_keys, source.timestamp_field]
        self._said = unchanged
        created = source.created_timestamp_column
        names = [*self._columns, *([created] if created else [])]
        validity = self._batches.may_hold_nulls(feature)
        joined = _Part.joined(list(self._parts(names, validity, to_micros(end))))
        self.keys, (self.instants, *_), self.has_vector, self._rows, self.unchanged = (
            joined.newest()
        )
        del joined
        # The files' pages are not needed again.
        pa.default_memory_pool().release_unused()

    def _parts(self, names: Sequence[str], validity: bool, end: int) -> Iterator[_Part]:
        """The rows that count at an instant, batch by batch.

        Args:
            names: the join keys and the timestamps.
            validity: whether vectors may be null.
            end: the instant, in microseconds.
        """
        keys, stamps = slice(len(self._columns) - 1), slice(len(self._columns) - 1, len(names))
        start = None
        more = [self._said] if self._said else []
        for batch in self._batches.read([*names, *more, *([self._feature] if validity else [])]):
            start = start or 0
            has_vector = batch.columns[-1].is_valid() if validity else None
            said = batch.columns[len(names)] if self._said else None
            table = pa.table(batch.columns[keys], names[keys])
            yield _Part.of(table, batch.columns[stamps], has_vector, start, said).until(end)
            start += len(batch)
        if start is None:
            nothing = pa.array([], pa.timestamp("us", "UTC"))
            said = nothing if self._said else None
            no_keys = pa.table([[]] * len(names[keys]), names[keys])
            yield _Part.of(no_keys, [nothing], None, 0, said)

    def vectors(self, wanted: Mask, batch_rows: int) -> VectorBatches:
        """As `LatestRows.vectors`.

        Raises:
            InvalidVectorsError: a file has changed since its keys were read.
        """
        self._check_files()
        numbers = np.flatnonzero(wanted).astype(np.int32)
        rows = self._rows if len(numbers) == len(self._rows) else self._rows[numbers]
        start = 0
        read_rows = max(batch_rows, _READ_ROWS)
        for batch in self._batches.read([self._feature, *self._columns], read_rows):
            here = slice(*np.searchsorted(rows, [start, start + batch.num_rows]))
            places, found = rows[here] - start, numbers[here]
            start += batch.num_rows
            for at in range(0, len(found), batch_rows):
                part = found[at : at + batch_rows]
                taken = batch.take(pa.array(places[at : at + batch_rows]))
                self._check_unchanged(taken, part)
                yield part, pa.chunked_array([taken.column(0)])
        if len(rows) and rows[-1] >= start:
            raise rewritten(self._of)
        self._check_files()

    def _check_files(self) -> None:
        # Vectors may change where keys and timestamps stay.
        if not self._batches.unchanged():
            raise rewritten(self._of)

    def _check_unchanged(self, taken: pa.RecordBatch, rows: RowNumbers) -> None:
        keys = pa.Table.from_batches([taken]).select(self._columns[:-1])
        instants = to_instants(pa.chunked_array([taken.column(len(self._columns))]))
        same = keys.equals(self.keys.take(pa.array(rows)))
        if not same or not np.array_equal(instants, self.instants[rows]):
            raise rewritten(self._of)


def latest_rows(
    store: OfflineStore,
    config: RepoConfig,
    source: DataSource,
    *,
    feature: str,
    join_keys: Sequence[str],
    end: datetime,
    unchanged: str | None = None,
) -> LatestRows:
    """A source's latest row per entity at `end`.

    Streamed from parquet, asked of a store that takes SQL, or else pulled as a table.

    Args:
        store: the backward compatible offline store.
        config: the feature repo's configuration.
        source: the batch source.
        feature: its vector column (after the field mapping).
        join_keys: the key columns.
        end: rows with a later timestamp do not count.
        unchanged: as for `StreamedRows`.
    """
    if is_a(store, RAY) and parquet_files(source) is not None:
        return streamed_rows(
            config, source, feature=feature, join_keys=join_keys, end=end, unchanged=unchanged
        )
    if _at_one_place(source, config) and is_a(store, DUCKDB):
        batches = SourceBatches(source, feature=feature, join_keys=join_keys, config=config)
        columns = [feature, *join_keys, source.timestamp_field]
        columns += [source.created_timestamp_column, unchanged]
        if not set(join_keys) & set(source.field_mapping.values()) and batches.as_duckdb(
            [column for column in columns if column]
        ):
            return StreamedRows(
                batches,
                source,
                feature=feature,
                join_keys=join_keys,
                end=end,
                unchanged=unchanged,
            )
    asked = SqlSource.found(
        store, config, source, feature=feature, join_keys=join_keys, unchanged=unchanged
    )
    if asked is not None:
        return asked.latest_rows(end)
    return PulledRows(
        store.latest_rows(config, source, feature, list(join_keys), end=end, unchanged=unchanged)
    )


def streamed_rows(
    config: RepoConfig,
    source: DataSource,
    *,
    feature: str,
    join_keys: Sequence[str],
    end: datetime,
    unchanged: str | None = None,
) -> StreamedRows:
    """The same of a source that is parquet files, whatever the store.

    Feast's Ray store calls a function per entity, over pandas.
    """
    batches = SourceBatches(source, feature=feature, join_keys=join_keys, config=config)
    return StreamedRows(
        batches, source, feature=feature, join_keys=join_keys, end=end, unchanged=unchanged
    )


def as_table(rows: LatestRows) -> pa.Table:
    """All rows with their vectors, as `PulledRows` takes them."""
    everything = np.ones(len(rows.instants), bool)
    columns = [column for _, column in rows.vectors(everything, _READ_ROWS)]
    vectors = pa.chunked_array([chunk for column in columns for chunk in column.chunks] or [[]])
    table = rows.keys.append_column(VECTOR, vectors)
    table = table.append_column(TIMESTAMP, pa.array(rows.instants, _MICROS))
    if rows.unchanged is None:
        return table
    said = pa.array(rows.unchanged, _MICROS, mask=rows.unchanged == NEVER)
    return table.append_column(UNCHANGED, said)


def said_unchanged(table: pa.Table) -> Instants | None:
    """From when each row's input is unchanged; None where the table of pulled rows does not say."""
    return to_unchanged(table[UNCHANGED]) if UNCHANGED in table.column_names else None


def _at_one_place(source: DataSource, config: RepoConfig) -> bool:
    """Whether a source is parquet to DuckDB, and Feast and DuckDB look for it at one place."""
    if not is_parquet_to_duckdb(source):
        return False
    if "://" in source.path:
        # DuckDB itself reads S3 without the source's endpoint and credentials, or not at all.
        return bool(source.path.startswith("s3://"))
    # DuckDB takes relative paths from the working directory, Feast from the repo.
    path = FileSource.get_uri_for_file_path(config.repo_path, source.path)
    same: bool = os.path.realpath(path) == os.path.realpath(source.path)
    return same
