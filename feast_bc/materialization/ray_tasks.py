"""What Ray's workers do: read parts of files, decide, fetch what is needed, write.

Rows meet in buckets by the hash of their keys. Tables are Arrow; each function is a Ray task, and
gives the same again when Ray starts it again after a worker was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.value_type import ValueType

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import NEVER, RowNumbers
from feast_bc.columns.entity_keys import check_present, key_types
from feast_bc.columns.timestamps import to_instants, to_unchanged
from feast_bc.columns.vectors import VECTOR_TYPE, as_lists
from feast_bc.materialization.shipped_work import (
    CREATED,
    HAS_VECTOR,
    INSTANT,
    NEEDED,
    REPORT,
    UNCHANGED,
    VECTOR,
    VERSION,
    ShippedWork,
    decide,
    write,
)
from feast_bc.native.batch_source import column_in
from feast_bc.native.file_parts import FilePart
from feast_bc.native.vector_batches import rewritten

PART, ROW = "__part", "__row"
"""Columns of native rows beside those of `shipped_work`: the number of the part of a version's
files in which the row stands, and its place there.
"""

_KEY_TYPES = {
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.STRING: pa.string(),
    ValueType.BYTES: pa.binary(),
}


@dataclass(frozen=True)
class SourceColumns:
    """What the columns of one version's files are called, and what they hold.

    Attributes:
        version: the version's number.
        keys: per join key the column, and the type that the views give it.
        timestamp, created, unchanged, vector: columns; a source may have no `created`, and
            `unchanged` is None where unchanged vectors are not kept.
        of: the source, for error messages.
    """

    version: int
    keys: tuple[tuple[str, str, pa.DataType | None], ...]
    timestamp: str
    created: str | None
    unchanged: str | None
    vector: str
    of: str

    @classmethod
    def of_member(cls, member: EmbeddingVersion, view: FeatureView) -> SourceColumns:
        """Those of a version of a view's family."""
        source = member.source
        created, unchanged = source.created_timestamp_column, view.batch_source.keep_unchanged
        return cls(
            member.version,
            tuple(
                (key, column_in(source, key), _KEY_TYPES.get(type_))
                for key, type_ in key_types(view).items()
            ),
            column_in(source, source.timestamp_field),
            column_in(source, created) if created else None,
            column_in(source, unchanged) if unchanged else None,
            column_in(source, member.feature),
            f"source {source.name!r}",
        )

    def read(self, part: FilePart, *, vectors: bool, rows: RowNumbers | None = None) -> pa.Table:
        """Rows of a part, as `shipped_work` names their columns; NEVER for a null timestamp.

        Args:
            part: the part.
            vectors: whether to read the vectors themselves.
            rows: as for `FilePart.read`.

        Raises:
            InvalidVectorsError: a file has changed, or the vectors are no lists of floats.
        """
        names = [column for _, column, _ in self.keys]
        stamps = {CREATED: self.created, UNCHANGED: self.unchanged}
        names += [self.timestamp, *(column for column in stamps.values() if column)]
        validity = vectors or part.may_hold_nulls(self.vector)
        table = part.read([*names, *([self.vector] if validity else [])], rows)
        found = {
            key: table[column] if type_ is None else table[column].cast(type_)
            for key, column, type_ in self.keys
        }
        count = len(table)
        found[VERSION] = pa.array(np.full(count, self.version, np.int32))
        found[INSTANT] = pa.array(to_instants(table[self.timestamp]))
        for name, column in stamps.items():
            found[name] = pa.nulls(count, pa.int64())
            if column:
                absent = np.asarray(table[column].is_null())
                read = to_unchanged if name == UNCHANGED else to_instants
                found[name] = pa.array(read(table[column]), mask=absent)
        has_vector = table[self.vector].is_valid() if validity else np.ones(count, bool)
        found[HAS_VECTOR] = has_vector if validity else pa.array(has_vector)
        if vectors:
            lists = as_lists(table[self.vector].combine_chunks(), of=self.of)
            found[VECTOR] = lists.cast(VECTOR_TYPE)
        return pa.table(found)


def read_rows(
    columns: SourceColumns, part: FilePart, number: int, horizon: int, buckets: int
) -> tuple[pa.Table, ...]:
    """The rows of one part without their vectors, a table per bucket.

    Args:
        columns: what its columns are.
        part: the part.
        number: its number among all parts.
        horizon: rows of a later instant do not count, in microseconds.
        buckets: how many buckets there are.

    Raises:
        InvalidVectorsError: a file has changed, or a key is null.
    """
    table = columns.read(part, vectors=False)
    count = len(table)
    table = table.append_column(PART, pa.array(np.full(count, number, np.int32)))
    table = table.append_column(ROW, pa.array(np.arange(count)))
    instants = table[INSTANT].to_numpy()
    table = table.filter(pa.array((instants != NEVER) & (instants <= horizon)))
    keys = table.select([key for key, _, _ in columns.keys])
    check_present(keys)
    return _split(table, _bucket_of(keys, buckets), buckets)


def decide_bucket(
    shipped: ShippedWork, parts: int, *tables: pa.Table
) -> tuple[pa.Table, pa.Table, list[int]]:
    """What is needed to write one bucket.

    Args:
        shipped: what to write.
        parts: how many parts of files there are.
        tables: the bucket's rows, from `read_rows`.

    Returns:
        `(decided, wanted, counts)`: the rows from `decide`; PART and ROW of those whose vectors
        are needed; and how many these are per part.
    """
    rows = pa.concat_tables(tables)
    schema = rows.schema.append(pa.field(NEEDED, pa.bool_()))
    decided = pa.Table.from_batches(list(decide(shipped, rows.to_batches())), schema)
    wanted = decided.filter(decided[NEEDED]).select([PART, ROW])
    counts = np.bincount(wanted[PART].to_numpy(), minlength=parts)
    return decided.drop_columns([PART, ROW]), wanted, counts.tolist()


def fetch_rows(
    columns: SourceColumns, parts: Sequence[tuple[int, FilePart]], *wanted: pa.Table
) -> tuple[pa.Table, ...]:
    """The rows of some parts that are needed, with their vectors, a table per bucket.

    Args:
        columns: what the columns of the parts are.
        parts: each with its number.
        wanted: per bucket what is needed, from `decide_bucket`.

    Raises:
        InvalidVectorsError: a file has changed, or the vectors are no lists of floats.
    """
    found = [_fetch(columns, number, part, wanted) for number, part in parts]
    return tuple(map(pa.concat_tables, zip(*found, strict=True)))


def _fetch(
    columns: SourceColumns, number: int, part: FilePart, wanted: Sequence[pa.Table]
) -> tuple[pa.Table, ...]:
    mine = [each.filter(pc.equal(each[PART], number))[ROW].to_numpy() for each in wanted]
    bucket = np.repeat(np.arange(len(mine)), [len(rows) for rows in mine])
    rows = np.concatenate(mine)
    order = np.argsort(rows)
    table = columns.read(part, vectors=True, rows=rows[order])
    if len(table) != len(rows):
        raise rewritten(part.of)
    table = table.append_column(NEEDED, pa.nulls(len(table), pa.bool_()))
    return _split(table, bucket[order], len(wanted))


def write_bucket(shipped: ShippedWork, decided: pa.Table, *vectors: pa.Table) -> pa.Table:
    """Write one bucket.

    Args:
        shipped: what to write.
        decided: from `decide_bucket`.
        vectors: the bucket's rows from `fetch_rows`.

    Returns:
        What became of it, REPORT.
    """
    decided = decided.append_column(VECTOR, pa.nulls(len(decided), VECTOR_TYPE))
    names = decided.column_names
    rows = pa.concat_tables([decided, *(table.select(names) for table in vectors)])
    return pa.Table.from_batches(list(write(shipped, rows.to_batches())), REPORT)


def _split(table: pa.Table, bucket: RowNumbers, buckets: int) -> tuple[pa.Table, ...]:
    """A table per bucket, each with its own memory."""
    order = np.argsort(bucket, kind="stable")
    edges = np.searchsorted(bucket[order], np.arange(buckets + 1))
    return tuple(table.take(pa.array(order[edges[i] : edges[i + 1]])) for i in range(buckets))


def _bucket_of(keys: pa.Table, buckets: int) -> RowNumbers:
    """The bucket of each key, the same in every process."""
    total = np.zeros(len(keys), np.uint64)
    for column in keys.columns:
        total = total * np.uint64(31) + pd.util.hash_array(column.to_numpy())
    found: RowNumbers = (total % np.uint64(buckets)).astype(np.int64)
    return found
