"""Materializing views of one versioned embedding in one pass.

Each native source is read once. Its rows go by in batches; each batch is transformed into the
spaces of the views that take their values from it, and all of them are written together. A view's
value never depends on another batch, so whatever has been written is valid if the run ends early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from feast.infra.common.materialization_job import MaterializationTask

from feast_bc.activation import to_micros
from feast_bc.ahead import ahead
from feast_bc.errors import (
    DimensionError,
    FeastBCError,
    InvalidVectorsError,
    MaterializationError,
)
from feast_bc.latest import align, changes, natives_of, relevant_members
from feast_bc.latest_rows import LatestRows
from feast_bc.online_writer import OnlineWriter, ViewValues
from feast_bc.resolution import NONE, Winners, describe
from feast_bc.source import BackwardCompatibleSource
from feast_bc.vectors import Matrix, to_matrix
from feast_bc.versions import EmbeddingVersion
from feast_bc.view_changes import ViewChanges

ReadRows = Callable[[EmbeddingVersion], LatestRows]
"""Reads a version's latest native rows at the end of the window."""

Progress = Callable[[int], object]
"""Called with the number of values that were written."""

_Batch: TypeAlias = tuple[Winners, list[ViewValues]]
"""Entities of the family, and the views' values for them."""

# Bounds the memory of one batch: 16 Mi float32 are 64 MiB, and some copies of them.
_FLOATS_PER_BATCH = 2**24
_ROWS_PER_BATCH = 2**15
_SAMPLE = 3


class FamilyMaterialization:
    """One run over views of one versioned embedding, with one end of the window.

    Args:
        tasks: what Feast asked for, one per view.
        read: reads native rows.
        writer: writes to the online store.
        write_batch_size: how many entities to write at once, at most; None for a size that
            bounds memory.
    """

    def __init__(
        self,
        tasks: Sequence[MaterializationTask],
        *,
        read: ReadRows,
        writer: OnlineWriter,
        write_batch_size: int | None = None,
    ) -> None:
        self._tasks = tasks
        self._read = read
        self._writer = writer
        self._write_batch_size = write_batch_size
        self._embedding = _source(tasks[0]).embedding
        self._until = to_micros(tasks[0].end_time)
        self._errors: dict[str, Exception] = {}

    def run(self, start_progress: Callable[[int], Progress]) -> Mapping[str, Exception]:
        """Write every changed value.

        Args:
            start_progress: called with the number of values to write, before the first is.

        Returns:
            Per failed view its error. Whatever was written for it is valid.
        """
        natives = self._read_rows()
        tasks = [task for task in self._tasks if task.feature_view.name not in self._errors]
        if not tasks:
            return self._errors
        keys, places = align([rows.keys for rows in natives.values()])
        place = dict(zip(natives, places, strict=True))
        views = [view for task in tasks if (view := self._view(task, natives, place))]
        progress = start_progress(sum(int(view.changes.changed.sum()) for view in views))
        try:
            for entities, values in ahead(self._batches(natives, place, views, keys)):
                self._write(keys, entities, values, progress)
        except MaterializationError as error:
            for view in views:
                self._errors.setdefault(view.name, error)
        return self._errors

    def _read_rows(self) -> dict[EmbeddingVersion, LatestRows]:
        """The latest rows of every version that has a say, newest version first."""
        users: dict[EmbeddingVersion, list[str]] = {}
        for task in self._tasks:
            for member in relevant_members(_source(task), self._until):
                users.setdefault(_native_of(member), []).append(task.feature_view.name)
        natives = {}
        for member in sorted(users, key=lambda m: -m.version):
            try:
                natives[member] = self._read(member)
            except Exception as error:  # stores raise whatever their driver raises
                self._fail(users[member], error)
        return natives

    def _view(
        self,
        task: MaterializationTask,
        natives: Mapping[EmbeddingVersion, LatestRows],
        place: Mapping[EmbeddingVersion, Winners],
    ) -> ViewChanges | None:
        source = _source(task)
        members = relevant_members(source, self._until)
        found = changes(
            source,
            [
                natives_of(
                    member,
                    place[_native_of(member)],
                    natives[_native_of(member)].instants,
                    natives[_native_of(member)].has_vector,
                )
                for member in members
            ],
            start=task.start_time,
            end=task.end_time,
        )
        winning = set(np.unique(found.winner[found.changed]).tolist())
        try:
            chains = {
                member.version: source.chain_from(member.version)
                for member in members
                if member.version in winning and member.version != source.version
            }
        except FeastBCError as error:
            self._fail([task.feature_view.name], error)
            return None
        return ViewChanges(task.feature_view, found, chains, frozenset(map(_native_of, members)))

    def _batches(
        self,
        natives: dict[EmbeddingVersion, LatestRows],
        place: Mapping[EmbeddingVersion, Winners],
        views: Sequence[ViewChanges],
        keys: pa.Table,
    ) -> Iterator[_Batch]:
        """Everything to write."""
        for member in list(natives):
            yield from self._vectors(member, natives.pop(member), place[member], views, keys)
        yield from self._nulls(views)

    def _vectors(
        self,
        member: EmbeddingVersion,
        rows: LatestRows,
        place: Winners,
        views: Sequence[ViewChanges],
        keys: pa.Table,
    ) -> Iterator[_Batch]:
        """What to write from one version's vectors."""
        users = [v for v in views if member in v.members and v.name not in self._errors]
        wanted = np.logical_or.reduce(
            [view.takes(member.version) for view in users], axis=0, initial=False
        )
        entity = np.empty(len(rows.instants), np.int64)
        entity[place[place >= 0]] = np.flatnonzero(place >= 0)
        users = [view for view in users if view.takes(member.version).any()]
        if not users:
            return
        floats = member.dim + sum(view.dim for view in users)
        try:
            for part, column in rows.vectors(wanted[entity], self._batch_rows(floats)):
                entities = entity[part]
                native = _matrix(column, member, self._embedding, keys.take(pa.array(entities)))
                values = [view.values(member.version, entities, native) for view in users]
                yield entities, values
        except FeastBCError as error:
            self._fail([view.name for view in users], error)

    def _nulls(self, views: Sequence[ViewChanges]) -> Iterator[_Batch]:
        """What to write for entities that have no value any more."""
        users = [v for v in views if v.name not in self._errors and v.takes(NONE).any()]
        if users:
            lost = np.flatnonzero(np.logical_or.reduce([view.takes(NONE) for view in users]))
            step = self._batch_rows(len(users))
            for start in range(0, len(lost), step):
                entities = lost[start : start + step]
                yield entities, [view.nulls(entities) for view in users]

    def _batch_rows(self, floats: int) -> int:
        """How many entities fit a batch, if each takes so many floats."""
        bounded = max(1, min(_ROWS_PER_BATCH, _FLOATS_PER_BATCH // floats))
        return min(bounded, self._write_batch_size or bounded)

    def _write(
        self,
        keys: pa.Table,
        entities: Winners,
        values: Sequence[ViewValues],
        progress: Progress,
    ) -> None:
        values = [each for each in values if len(each.rows)]
        batch = keys.take(pa.array(entities))
        try:
            self._writer.write(batch, values)
        except Exception as error:  # stores raise whatever their driver raises
            names = ", ".join(each.view.name for each in values)
            raise MaterializationError(
                f"{names}: the online store did not take the values of {len(entities)} "
                f"entities ({_sample(batch)}): {type(error).__name__}: {error}. Values that were "
                "written before are valid and stay. Repair the online store and run the same "
                "command again; it writes what is missing."
            ) from error
        progress(sum(len(each.rows) for each in values))

    def _fail(self, names: Sequence[str], error: Exception) -> None:
        if isinstance(error, FeastBCError):
            error = type(error)(f"{', '.join(names)}: {error}")
        for name in names:
            self._errors.setdefault(name, error)


def _source(task: MaterializationTask) -> BackwardCompatibleSource:
    source: BackwardCompatibleSource = task.feature_view.batch_source
    return source


def _native_of(member: EmbeddingVersion) -> EmbeddingVersion:
    """A version without its plan: what its native rows depend on. Views may plan differently."""
    return replace(member, transform=None, activations=(), retired=False)


def _matrix(
    column: pa.ChunkedArray, member: EmbeddingVersion, embedding: str, keys: pa.Table
) -> Matrix:
    """The vectors of a batch. Raises as `to_matrix`, naming the first entity at fault."""
    of = describe(embedding, member)
    try:
        return to_matrix(column, member.dim, of=of)[0]
    except (DimensionError, InvalidVectorsError) as error:
        for row in range(len(column)):
            try:
                to_matrix(column.slice(row, 1), member.dim, of=of)
            except (DimensionError, InvalidVectorsError):
                raise type(error)(
                    f"{error} The first is of {_sample(keys.slice(row, 1))}. Nothing of its batch "
                    "was written; what was written before is valid. Then materialize again."
                ) from error
        raise


def _sample(keys: pa.Table) -> str:
    """The first entities of a batch, for error messages."""
    shown = keys.slice(0, _SAMPLE).to_pylist()
    names = ["/".join(f"{name}={value}" for name, value in key.items()) for key in shown]
    return ", ".join(names) + (", ..." if len(keys) > _SAMPLE else "")
