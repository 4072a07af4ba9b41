"""Reading and checking the native vectors of one embedding version, before it is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feast_bc.columns.align import newest_rows
from feast_bc.columns.arrays import Instants, Matrix
from feast_bc.columns.entity_keys import key_kind
from feast_bc.columns.instants import to_datetime
from feast_bc.columns.timestamps import to_instants
from feast_bc.columns.vectors import as_lists, to_matrix
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.native.batch_source import check_format
from feast_bc.native.batches import SourceBatches
from feast_bc.native.contents import (
    Contents,
    SampledRow,
    key_text,
    sample_places,
    vector_digest,
)
from feast_bc.native.vector_batches import rewritten

Progress = Callable[[int, "int | None"], None]
"""Called as rows are read, with the rows of one batch and the total (None if unknown)."""

TIMESTAMP, CREATED, ROW = "__timestamp", "__created", "__row"
_MICROS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class NativeVectors:
    """The checked native vectors of one version. It holds keys, not vectors.

    Attributes:
        dim: the dimension of every vector.
        rows: how many rows the source has.
        keys: names of the join keys, which are text columns of `latest`.
        latest: one row per entity: its join keys as text, and in column `__row` (int64) the
            position of its newest row in the source.
        contents: by what the source is known again.
        first: the oldest event timestamp, in microseconds.
        instants: shape `(entities,)`, the event timestamps of the rows in `latest`.
    """

    dim: int
    rows: int
    keys: tuple[str, ...]
    latest: pa.Table
    contents: Contents
    first: int
    instants: Instants
    _batches: SourceBatches
    _feature: str
    _of: str
    _timestamp: str

    @property
    def entities(self) -> int:
        return int(self.latest.num_rows)

    def take(self, rows: npt.NDArray[np.int64], progress: Progress | None = None) -> Matrix:
        """Read the vectors of some rows: float32 of shape `(len(rows), dim)`.

        Args:
            rows: ascending positions in the source, of those in `latest`.
            progress: called as the source is read.

        Raises:
            InvalidVectorsError: the source has changed since its keys were read.
        """
        parts, start = [np.empty((0, self.dim), np.float32)], 0
        for batch in self._batches.read([self._feature, *self.keys, self._timestamp]):
            stop = start + batch.num_rows
            here = slice(*np.searchsorted(rows, [start, stop]))
            if here.start < here.stop:
                taken = batch.take(pa.array(rows[here] - start))
                self._check_unchanged(taken, rows[here])
                parts.append(to_matrix(taken.column(0), self.dim, of=self._of)[0])
            start = stop
            if progress:
                progress(batch.num_rows, self.rows)
        matrix = np.concatenate(parts)
        if len(matrix) != len(rows):
            raise rewritten(self._of)
        return matrix

    def _check_unchanged(self, taken: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> None:
        at = np.searchsorted(np.asarray(self.latest[ROW]), rows)
        expected = self.latest.take(pa.array(at))
        columns = dict(zip(self.keys, taken.columns[1:], strict=False))
        same = all(
            pa.chunked_array([key_text(column, key, self._of)]).equals(expected[key])
            for key, column in columns.items()
        )
        instants = to_instants(pa.chunked_array([taken.columns[-1]]))
        if not same or not np.array_equal(instants, self.instants[at]):
            raise rewritten(self._of)


def read_native_vectors(
    source: DataSource,
    *,
    join_keys: Sequence[str],
    dim: int | None = None,
    feature: str = "embedding",
    config: RepoConfig | None = None,
    progress: Progress | None = None,
) -> NativeVectors:
    """Read a batch source once and check every row of it.

    Parquet and PostgreSQL are streamed; any other source is pulled through the offline store of
    `config`, which hands over one table. Keys and timestamps of all rows are held.

    Args:
        source: any Feast batch source; its field mapping is honoured.
        join_keys: the entity key columns.
        dim: the dimension that all vectors must have; None for that of the first one.
        feature: the vector column.
        config: the feature repo's configuration; needed for sources that are not files.
        progress: called as the source is read.

    Raises:
        InvalidVectorsError: the source cannot be read, here or by the offline store that `config`
            names, or is empty, a column is missing, a vector
            is null, not made of floats, or not finite, a key or timestamp is null, timestamps
            have no time zone, or an entity has two rows with one timestamp.
        DimensionError: vectors of another dimension.
    """
    of = f"source {source.name!r}"
    if config is not None:
        check_format(source, config)
    batches = SourceBatches(source, feature=feature, join_keys=join_keys, config=config)
    stamps = {TIMESTAMP: source.timestamp_field, CREATED: source.created_timestamp_column}
    stamps = {role: column for role, column in stamps.items() if column}
    if TIMESTAMP not in stamps:
        raise InvalidVectorsError(
            f"{of} names no timestamp_field; expected the column with the instant from which "
            "each vector holds. Set it on the source."
        )
    columns = [feature, *join_keys, *stamps.values()]
    _check_columns(batches, columns, of)
    held, rows, total = [], 0, batches.count()
    sampled: list[SampledRow] = []
    groups, kinds = batches.groups(), [""] * len(join_keys)
    places = None if groups is None else sample_places(groups)
    for batch in batches.read(columns):
        if not batch.num_rows:
            continue
        named = dict(zip(columns, batch.columns, strict=True))
        _check_timestamps(named, stamps, of)
        _check_present(named, rows, of)
        dim = dim or _first_dim(named[feature], of=f"{of}, column {feature!r}")
        span = f"rows {rows}-{rows + batch.num_rows - 1}"
        matrix, _ = to_matrix(named[feature], dim, of=f"{of}, column {feature!r}, {span}")
        held.append(_keys_and_stamps(named, join_keys, stamps, rows, of))
        here = range(rows, rows + batch.num_rows)
        chosen = sample_places([here]) if places is None else places
        sampled += _sampled(held[-1], matrix, join_keys, chosen, here)
        kinds = [key_kind(named[key].type) for key in join_keys]
        rows += batch.num_rows
        if progress:
            progress(batch.num_rows, total)
    if dim is None or not rows:
        raise InvalidVectorsError(
            f"{of} is empty; expected at least one vector. Check its path and the job that "
            "writes it."
        )
    index = pa.concat_tables(held)
    _check_unique(index, [*join_keys, *stamps], of)
    instants = [to_instants(index[role]) for role in stamps]
    rows_of = newest_rows(index.select(join_keys), *instants)
    latest = index.select([*join_keys, ROW]).take(pa.array(rows_of))
    newest = int(instants[0].max())
    return NativeVectors(
        dim,
        rows,
        tuple(join_keys),
        latest,
        Contents.of(rows, newest, kinds, sampled),
        int(instants[0].min()),
        instants[0][rows_of],
        batches,
        feature,
        of,
        source.timestamp_field,
    )


def _check_columns(batches: SourceBatches, columns: Sequence[str], of: str) -> None:
    found = batches.columns()
    missing = [column for column in columns if column not in found]
    if missing:
        raise InvalidVectorsError(
            f"{of}: column(s) {', '.join(missing)} missing; it has {', '.join(found)}. Name the "
            "columns of the source, or map them with its field_mapping."
        )


def _check_timestamps(named: Mapping[str, pa.Array], stamps: Mapping[str, str], of: str) -> None:
    for column in stamps.values():
        type_ = named[column].type
        if not pa.types.is_timestamp(type_) or type_.tz is None:
            raise InvalidVectorsError(
                f"{of}: column {column!r} has Arrow type {type_}; expected a timestamp with time "
                f"zone. In pandas: df[{column!r}] = pd.to_datetime(df[{column!r}], utc=True)."
            )


def _check_present(named: Mapping[str, pa.Array], start: int, of: str) -> None:
    for column, values in named.items():
        if values.null_count:
            first = start + int(np.argmax(np.asarray(values.is_null())))
            raise InvalidVectorsError(
                f"{of}: column {column!r} is null in {values.null_count} of the rows {start}-"
                f"{start + len(values) - 1} (first: row {first}); expected a value in every row. "
                "Drop such rows."
            )


def _first_dim(vectors: pa.Array, *, of: str) -> int:
    length = len(as_lists(vectors.slice(0, 1), of=of)[0])
    if not length:
        raise DimensionError(f"{of}: the first vector is empty; expected at least 1 float.")
    return length


def _keys_and_stamps(
    named: Mapping[str, pa.Array],
    join_keys: Sequence[str],
    stamps: Mapping[str, str],
    start: int,
    of: str,
) -> pa.Table:
    """One batch without its vectors: keys as text, timestamps in UTC, positions."""
    held = {role: named[column].cast(_MICROS, safe=False) for role, column in stamps.items()}
    # Text, so that versions compare whatever type each source gives the key.
    held |= {key: key_text(named[key], key, of) for key in join_keys}
    count = len(named[join_keys[0]])
    return pa.table({**held, ROW: np.arange(start, start + count, dtype=np.int64)})


def _sampled(
    index: pa.Table,
    matrix: Matrix,
    join_keys: Sequence[str],
    places: npt.NDArray[np.int64],
    here: range,
) -> list[SampledRow]:
    """Those of the rows to sample that are in a batch.

    Args:
        index: its keys and timestamps, from `_keys_and_stamps`.
        matrix: its vectors.
        join_keys: the key columns.
        places: the numbers of the rows to sample, ascending.
        here: the numbers of the batch's rows.
    """
    first, last = np.searchsorted(places, [here.start, here.stop])
    rows = places[first:last] - here.start
    taken = index.take(pa.array(rows))
    keys = zip(*(taken[key].to_pylist() for key in join_keys), strict=True)
    instants = to_instants(taken[TIMESTAMP]).tolist()
    return [
        SampledRow(
            keys=key, at=to_datetime(at), row=here.start + row, vector=vector_digest(matrix[row])
        )
        for key, at, row in zip(keys, instants, rows.tolist(), strict=True)
    ]


def _check_unique(index: pa.Table, columns: Sequence[str], of: str) -> None:
    counts = index.group_by(list(columns)).aggregate([([], "count_all"), (ROW, "min")])
    twice = counts.filter(pc.greater(counts["count_all"], 1)).sort_by(f"{ROW}_min")
    if twice.num_rows:
        example = ", ".join(f"{c.strip('_')} {twice[c][0].as_py()}" for c in columns)
        raise InvalidVectorsError(
            f"{of}: {twice.num_rows} entity-timestamp pair(s) occur more than once (first: "
            f"{example}); expected one vector per entity and timestamp. Keep one of each, or "
            "name a created_timestamp_column on the source to decide between them."
        )
