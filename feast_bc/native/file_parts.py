"""Parts of the parquet files of a source, small enough that workers read one each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from feast_bc.columns.arrays import RowNumbers
from feast_bc.native.parquet_files import FileState, ParquetFiles, states_of
from feast_bc.native.parquet_nulls import may_hold_nulls
from feast_bc.native.reading import reading
from feast_bc.native.vector_batches import rewritten

_BATCH_ROWS = 16_384
# Arrow's default buffers a whole row group ahead.
_SCAN = pads.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)


@dataclass(frozen=True)
class FilePart:
    """Row groups that follow one another, read in this order; their rows are counted from 0.

    Attributes:
        groups: one row group each.
        counts: the number of rows of each.
        schema: the columns of all files, hive partitions included.
        states: what the file of each was when it was found.
        of: the source, for error messages.
    """

    groups: Sequence[pads.ParquetFileFragment]
    counts: Sequence[int]
    schema: pa.Schema
    states: Sequence[FileState]
    of: str

    def between(self, start: int, end: int) -> FilePart:
        """Some of the row groups."""
        here = slice(start, end)
        groups, counts, states = self.groups[here], self.counts[here], self.states[here]
        return FilePart(groups, counts, self.schema, states, self.of)

    def may_hold_nulls(self, column: str) -> bool:
        """Whether a list column may hold nulls, as far as can be said without reading it."""
        files = {group.path: group for group in self.groups}
        return any(may_hold_nulls(group.metadata, column) for group in files.values())

    def read(self, columns: Sequence[str], rows: RowNumbers | None = None) -> pa.Table:
        """Some columns, of all rows or of some.

        Args:
            columns: their names in the files.
            rows: distinct, ascending; None for all rows.

        Raises:
            InvalidVectorsError: a file cannot be read, or has changed since it was found.
        """
        schema = pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches(list(self.batches(columns, rows)), schema)

    def batches(
        self, columns: Sequence[str], rows: RowNumbers | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, in record batches."""
        with reading(self.of):
            try:
                yield from self._batches(columns, rows)
            except Exception as error:  # file systems raise whatever they like
                if self._changed():  # the footer that was read before fits no more
                    raise rewritten(self.of) from error
                raise
        if self._changed():
            raise rewritten(self.of)

    def _changed(self) -> bool:
        known = dict(zip((group.path for group in self.groups), self.states, strict=True))
        if not known:
            return False
        return states_of(self.groups[0].filesystem, list(known)) != list(known.values())

    def _batches(self, columns: Sequence[str], rows: RowNumbers | None) -> Iterator[pa.RecordBatch]:
        end = 0
        for group, count in zip(self.groups, self.counts, strict=True):
            start, end = end, end + count
            if rows is not None and not _between(rows, start, end).size:
                continue
            for batch in group.to_batches(
                schema=self.schema,
                columns=list(columns),
                batch_size=_BATCH_ROWS,
                batch_readahead=1,
                fragment_readahead=1,
                fragment_scan_options=_SCAN,
            ):
                here = slice(start, start := start + batch.num_rows)
                if rows is None:
                    yield batch
                elif (wanted := _between(rows, here.start, here.stop)).size:
                    yield batch.take(pa.array(wanted - here.start))


def file_parts(files: ParquetFiles, rows: int, of: str) -> list[FilePart]:
    """All rows of some files, in parts.

    Args:
        files: the files.
        rows: how many rows a part has, or a little more. One row group is never split.
        of: the source, for error messages.
    """
    parts: list[FilePart] = []
    whole = whole_files(files, of)
    start = held = 0
    for end, count in enumerate(whole.counts, 1):
        held += count
        if held >= rows or end == len(whole.counts):
            parts.append(whole.between(start, end))
            start, held = end, 0
    return parts


def whole_files(files: ParquetFiles, of: str) -> FilePart:
    """All rows of some files as one part; arguments as for `file_parts`."""
    groups, counts, states = [], [], []
    for fragment, state in zip(files.dataset.get_fragments(), files.states, strict=True):
        for group in fragment.row_groups:
            groups.append(fragment.subset(row_group_ids=[group.id]))
            counts.append(group.num_rows)
            states.append(state)
    return FilePart(groups, counts, files.dataset.schema, states, of)


def _between(rows: RowNumbers, start: int, stop: int) -> RowNumbers:
    first, last = np.searchsorted(rows, [start, stop])
    return rows[first:last]
