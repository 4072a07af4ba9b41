"""Looking for what was published among the rows of a source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.data_source import DataSource

from feast_bc.columns.arrays import NEVER, RowNumbers
from feast_bc.columns.entity_keys import key_kind
from feast_bc.columns.timestamps import to_instants
from feast_bc.native.batch_source import column_in
from feast_bc.native.batches import SourceBatches
from feast_bc.native.contents import Contents, key_text
from feast_bc.native.file_parts import FilePart
from feast_bc.native.held import Held, column_digests, sample_numbers
from feast_bc.native.reading import reading

_BATCH_ROWS = 256


class HeldRows:
    """Looks for what was published among the rows of a source.

    Of parquet files it reads footers and, where the sample still stands where it stood, the
    beginnings of a few row groups. Of other sources it reads everything.

    Args:
        source: the batch source.
        batches: reads it.
        contents: what it held.
        feature: the vector column (after the field mapping).
        join_keys: the key columns, likewise.
    """

    def __init__(
        self,
        source: DataSource,
        batches: SourceBatches,
        contents: Contents,
        *,
        feature: str,
        join_keys: Sequence[str],
    ) -> None:
        self._of = f"source {source.name!r}"
        self._source = source
        self._batches = batches
        self._contents = contents
        self._feature = feature
        self._columns = [*join_keys, source.timestamp_field]

    def look(self) -> Held:
        """What the source holds now.

        Raises:
            InvalidVectorsError: it cannot be read.
        """
        files = self._batches.files()
        if files is None:
            return self._look_everywhere()
        types = [files.schema.field(self._in_files(name)).type for name in self._columns[:-1]]
        kinds = tuple(map(key_kind, types))
        rows = sum(files.counts)
        newest = self._newest(files)
        if kinds != self._contents.key_kinds or not rows:
            return Held(rows, newest, kinds)
        found = self._at_their_places(files)
        if not all(
            row.vector in digests for row, digests in zip(self._contents.sample, found, strict=True)
        ):
            found = self._anywhere(files)
        return Held(rows, newest, kinds, tuple(map(frozenset, found)))

    def _in_files(self, name: str) -> str:
        return column_in(self._source, name)

    def _newest(self, files: FilePart) -> int:
        column = self._in_files(self._columns[-1])
        with reading(self._of):
            told = _newest_told(files, column)
        if told is not None:
            return told
        batches = files.batches([column])
        found = (to_instants(pa.chunked_array([batch.column(0)])) for batch in batches)
        return max((int(instants.max(initial=NEVER)) for instants in found), default=NEVER)

    def _at_their_places(self, files: FilePart) -> list[set[str]]:
        """The sample's digests, of rows that stand where they stood."""
        found: list[set[str]] = [set() for _ in self._contents.sample]
        places = {row.row: number for number, row in enumerate(self._contents.sample)}
        names = [self._in_files(name) for name in (*self._columns, self._feature)]
        with reading(self._of):
            for row, table in _early_rows(files, names, sorted(places)):
                number = places[row]
                if self._numbers(table) == [number]:
                    found[number] |= set(column_digests(table.column(len(names) - 1), of=self._of))
        return found

    def _anywhere(self, files: FilePart) -> list[set[str]]:
        """The sample's digests, of rows that stand anywhere in the files."""
        found: list[set[str]] = [set() for _ in self._contents.sample]
        names = [self._in_files(name) for name in self._columns]
        places, numbers, start = [], [], 0
        for batch in files.batches(names):
            mine = self._candidates(batch.column(0))
            told = self._numbers(batch.take(pa.array(mine)))
            for place, number in zip(mine.tolist(), told, strict=True):
                if number is not None:
                    places.append(start + place)
                    numbers.append(number)
            start += batch.num_rows
        vectors = files.read([self._in_files(self._feature)], np.array(places, np.int64))
        digests = column_digests(vectors.column(0), of=self._of)
        for number, digest in zip(numbers, digests, strict=True):
            found[number].add(digest)
        return found

    def _look_everywhere(self) -> Held:
        found: list[set[str]] = [set() for _ in self._contents.sample]
        rows, newest, kinds = 0, NEVER, None
        for batch in self._batches.read([*self._columns, self._feature]):
            rows += batch.num_rows
            instants = to_instants(pa.chunked_array([batch.column(len(self._columns) - 1)]))
            newest = max(newest, int(instants.max(initial=NEVER)))
            kinds = tuple(key_kind(each.type) for each in batch.columns[: len(self._columns) - 1])
            taken = batch.take(pa.array(self._candidates(batch.column(0))))
            digests = column_digests(taken.column(len(self._columns)), of=self._of)
            for number, digest in zip(self._numbers(taken), digests, strict=True):
                if number is not None:
                    found[number].add(digest)
        return Held(rows, newest, kinds, tuple(map(frozenset, found)))

    def _candidates(self, keys: pa.Array) -> RowNumbers:
        """Which rows have the first join key of a row of the sample."""
        wanted = pa.array(sorted({row.keys[0] for row in self._contents.sample}), pa.string())
        return np.flatnonzero(
            np.asarray(pc.is_in(key_text(keys, self._columns[0], self._of), wanted))
        )

    def _numbers(self, rows: pa.RecordBatch | pa.Table) -> list[int | None]:
        """Per row, with the keys and the timestamp first, which row of the sample it is."""
        keys = [
            key_text(rows.column(i), name, self._of).to_pylist()
            for i, name in enumerate(self._columns[:-1])
        ]
        stamps = rows.column(len(self._columns) - 1)
        instants = to_instants(
            stamps if isinstance(stamps, pa.ChunkedArray) else pa.chunked_array([stamps])
        )
        return sample_numbers(self._contents, zip(*keys, strict=True), instants.tolist())


def _newest_told(files: FilePart, column: str) -> int | None:
    """The newest instant as the files' statistics tell it; None where they do not."""
    newest = NEVER
    field = files.schema.field(column)
    if not pa.types.is_timestamp(field.type):
        return None
    for group, count in zip(files.groups, files.counts, strict=True):
        told = group.row_groups[0].statistics or {}
        if column not in told and count:
            return None
        if column in told:
            most = pa.chunked_array([pa.array([told[column]["max"]], field.type)])
            newest = max(newest, int(to_instants(most)[0]))
    return newest


def _early_rows(
    files: FilePart, names: Sequence[str], places: Sequence[int]
) -> Iterable[tuple[int, pa.RecordBatch]]:
    """Single rows, each group read no further than they stand.

    Args:
        files: where they stand.
        names: the columns.
        places: the numbers of the rows, ascending. Those that the files have not are left out, and
            all of a file that has not all the columns itself.
    """
    numbers = np.array(places, np.int64)
    end = 0
    for group, count in zip(files.groups, files.counts, strict=True):
        start, end = end, end + count
        wanted = numbers[slice(*np.searchsorted(numbers, [start, end]))] - start
        if not len(wanted) or not set(names) <= set(group.physical_schema.names):
            continue
        with (
            group.filesystem.open_input_file(group.path) as file,
            pq.ParquetFile(file, metadata=group.metadata, pre_buffer=False) as parquet,
        ):
            first = 0
            rows = parquet.iter_batches(
                _BATCH_ROWS, row_groups=[group.row_groups[0].id], columns=list(names)
            )
            for batch in rows:
                here = slice(*np.searchsorted(wanted, [first, first + batch.num_rows]))
                for place in wanted[here].tolist():
                    yield start + place, batch.slice(place - first, 1).select(list(names))
                first += batch.num_rows
                if first > wanted[-1]:
                    break
