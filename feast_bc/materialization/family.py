"""Materializing views of one versioned embedding in one pass.

Each native source is read once. Its rows go by in batches; each batch is transformed into the
spaces of the views that take their values from it, and all of them are written together, with the
entities' states last. A view's value never depends on another batch, so whatever has been written
is valid if the run ends early.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from feast.infra.common.materialization_job import MaterializationTask

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.align import align
from feast_bc.columns.arrays import Matrix, RowNumbers
from feast_bc.columns.instants import to_datetime, to_micros
from feast_bc.errors import FeastBCError, MaterializationError
from feast_bc.materialization.native_matrix import native_matrix, sample
from feast_bc.materialization.states import FamilyStates, overdue_values
from feast_bc.materialization.target import Target, content, reused_number, targets_of
from feast_bc.materialization.view_changes import ViewChanges
from feast_bc.native.latest_rows import LatestRows
from feast_bc.online.ahead import ahead
from feast_bc.online.on_read import decode_states
from feast_bc.online.request import Column
from feast_bc.online.writer import OnlineWriter, ViewValues
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NONE, NOTHING, Rows, State, Winners, Written, news_since
from feast_bc.views.changes import Changes, changes, rows_at
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import state_view

ReadRows = Callable[[EmbeddingVersion, datetime], LatestRows]
"""Reads a version's latest native rows at an instant."""

ReadStates = Callable[[pa.Table], Column]
"""Reads the stored states of entities, given their join keys."""

Progress = Callable[[int], object]
"""Called with the number of values that were written."""

_Batch: TypeAlias = tuple[int, RowNumbers, list[tuple[ViewChanges, "Matrix | None"]]]
"""The version that gives the values (NONE: nobody), entities of the family, and per view the
vectors of those entities that take theirs from it."""

# Bounds the memory of one batch: 16 Mi float32 are 64 MiB, and some copies of them.
_FLOATS_PER_BATCH = 2**24
_ROWS_PER_BATCH = 2**15

_logger = logging.getLogger(__name__)


class FamilyMaterialization:
    """One run over views of one versioned embedding, with one end of the window.

    Args:
        tasks: what Feast asked for, one per view.
        read: reads native rows.
        read_states: reads states.
        writer: writes to the online store.
        records: what the stored views were last written under.
        write_batch_size: how many entities to write at once, at most; None for a size that
            bounds memory.
    """

    def __init__(
        self,
        tasks: Sequence[MaterializationTask],
        *,
        read: ReadRows,
        read_states: ReadStates,
        writer: OnlineWriter,
        records: WrittenViews,
        write_batch_size: int | None = None,
    ) -> None:
        self._read = read
        self._read_states = read_states
        self._writer = writer
        self._records = records
        self._write_batch_size = write_batch_size
        self._end_time = tasks[0].end_time
        self._until = to_micros(self._end_time)
        # The newest plan knows all versions.
        newest = max(tasks, key=lambda task: len(task.feature_view.batch_source.digests))
        self._family: BackwardCompatibleSource = newest.feature_view.batch_source
        self._state_view = state_view(newest.feature_view)
        self._targets = targets_of(tasks)
        self._errors: dict[str, Exception] = {}
        self._horizon = self._until
        self._last: Winners = np.empty(0, np.int64)
        self._kept = 0

    def run(self, start_progress: Callable[[int], Progress]) -> Mapping[str, Exception]:
        """Write every changed value.

        Args:
            start_progress: called with the number of values to write, before the first is.

        Returns:
            Per failed view of the tasks its error. Whatever was written for it is valid.
        """
        self._begin()
        natives = self._read_rows()
        targets = self._alive()
        if targets:
            self._write_all(natives, targets, start_progress)
            self._end()
        return {
            user: self._errors[target.name]
            for target in self._targets.values()
            if target.name in self._errors
            for user in target.users
        }

    def _begin(self) -> None:
        """Find out what to write, and take back the records of views that are written whole.

        If this run ends early, such a view holds values of two plans: the next run writes it whole.
        """
        try:
            targets = list(self._targets.values())
            written = self._records.read([target.view for target in targets])
            for target, record in zip(targets, written, strict=True):
                target.since = news_since(target.plan, record, target.start, self._until)
            anew = [
                target.view
                for target, record in zip(targets, written, strict=True)
                if target.since is None and record != NOTHING
            ]
            self._horizon = max(self._until, *(record.until for record in written))
            self._records.write(anew, [Written(NOTHING.digest, self._horizon)] * len(anew))
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("Nothing was written", error)

    def _end(self) -> None:
        """Record what was written."""
        done = self._alive()
        try:
            self._records.write(
                [target.view for target in done],
                [Written(target.plan.digest, self._until) for target in done],
            )
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("The values were written", error)

    def _unrecorded(self, done: str, error: Exception) -> None:
        names = [target.name for target in self._alive()]
        message = (
            f"{', '.join(names)}: the online store does not answer for the record of what was "
            f"written: {type(error).__name__}: {error}. {done}. Repair the online store and run "
            "the same command again."
        )
        for name in names:
            self._errors[name] = MaterializationError(message)
            self._errors[name].__cause__ = error

    def _alive(self) -> list[Target]:
        """The targets that have not failed."""
        return [target for name, target in self._targets.items() if name not in self._errors]

    def _write_all(
        self,
        natives: dict[EmbeddingVersion, LatestRows],
        targets: Sequence[Target],
        start_progress: Callable[[int], Progress],
    ) -> None:
        tables = [rows.keys for rows in natives.values()]
        keys, places = align([*tables, *self._later_keys(natives)])
        place = dict(zip(natives, places, strict=False))
        rows = {
            member.version: rows_at(place[member], found.instants, found.has_vector)
            for member, found in natives.items()
        }
        since = {version: self._news_since(version, targets) for version in rows}
        states = FamilyStates(rows, self._until, since)
        found = {target.name: self._changes(target, rows) for target in targets}
        try:
            self._add_overdue(keys, targets, found)
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("Nothing was written", error)
            return
        views = [view for target in targets if (view := self._view(target, found[target.name]))]
        self._last = states.last_givers(list(rows), views)
        progress = start_progress(sum(int(view.changes.changed.sum()) for view in views))
        try:
            for batch in ahead(self._batches(natives, place, views, keys)):
                self._write(keys, batch, views, states, progress)
        except MaterializationError as error:
            for view in views:
                self._errors.setdefault(view.name, error)
        if self._kept:
            _logger.info(
                "%s: %d pushed value(s) stay, newer than the rows of the batch sources",
                self._family.embedding,
                self._kept,
            )

    def _news_since(self, version: int, targets: Sequence[Target]) -> int | None:
        """From when on rows of a version are news for any of the targets that read it."""
        since: int = np.iinfo(np.int64).max
        for target in targets:
            if any(member.version == version for member in target.members(self._until)):
                if target.since is None:
                    return None
                since = min(since, target.since)
        return since

    def _read_rows(self) -> dict[EmbeddingVersion, LatestRows]:
        """The latest rows of every version that is needed, newest version first."""
        users: dict[int, list[str]] = {}
        members: dict[int, EmbeddingVersion] = {}
        for target in self._alive():
            for member in target.members(self._until):
                known = members.setdefault(member.version, content(member))
                if known.digest == member.digest:
                    users.setdefault(member.version, []).append(target.name)
                else:
                    self._fail([target.name], reused_number(self._family.embedding, member.version))
        natives = {}
        for version in sorted(members, reverse=True):
            try:
                natives[members[version]] = self._read(members[version], self._end_time)
            except Exception as error:  # stores raise whatever their driver raises
                self._fail(users[version], error)
        return natives

    def _later_keys(self, natives: Iterable[EmbeddingVersion]) -> list[pa.Table]:
        """The entities that an earlier run up to a later instant may have written."""
        if self._horizon == self._until:
            return []
        end = to_datetime(self._horizon)
        return [self._read(member, end).keys for member in natives]

    def _changes(self, target: Target, rows: Mapping[int, Rows]) -> Changes:
        known = {member.version: rows[member.version] for member in target.members(self._until)}
        return changes(target.plan, known, target.since, self._until)

    def _add_overdue(
        self, keys: pa.Table, targets: Sequence[Target], found: Mapping[str, Changes]
    ) -> None:
        """Count as changed what only the states tell of, in views that are not written whole."""
        partly = [target for target in targets if target.since is not None]
        asked = [
            found[target.name].touched & ~found[target.name].changed
            if target.plan.ttl is None
            else np.ones(len(keys), bool)
            for target in partly
        ]
        rows = np.flatnonzero(np.logical_or.reduce(asked)) if partly else np.empty(0, np.int64)
        for start in range(0, len(rows), _ROWS_PER_BATCH):
            part = rows[start : start + _ROWS_PER_BATCH]
            state = decode_states(self._family, self._read_states(keys.take(pa.array(part))))
            for target in partly:
                known = found[target.name]
                known.changed[part] |= overdue_values(
                    state, target.plan, self._until, known.winner[part], known.touched[part]
                )

    def _view(self, target: Target, found: Changes) -> ViewChanges | None:
        source = target.source
        winning = set(np.unique(found.winner[found.changed]).tolist())
        try:
            chains = {
                version: source.chain_from(version)
                for version in sorted(winning - {NONE, source.version})
            }
        except FeastBCError as error:
            self._fail([target.name], error)
            return None
        return ViewChanges(target.view, found, chains)

    def _batches(
        self,
        natives: dict[EmbeddingVersion, LatestRows],
        place: Mapping[EmbeddingVersion, RowNumbers],
        views: Sequence[ViewChanges],
        keys: pa.Table,
    ) -> Iterator[_Batch]:
        """Everything to write, newest version first."""
        for member in list(natives):
            yield from self._vectors(member, natives.pop(member), place[member], views, keys)
        yield from self._rest(views)

    def _vectors(
        self,
        member: EmbeddingVersion,
        rows: LatestRows,
        place: RowNumbers,
        views: Sequence[ViewChanges],
        keys: pa.Table,
    ) -> Iterator[_Batch]:
        """What to write from one version's vectors."""
        version = member.version
        users = [v for v in views if v.name not in self._errors and v.takes(version).any()]
        if not users:
            return
        wanted = np.logical_or.reduce([view.takes(version) for view in users])
        entity = np.empty(len(rows.instants), np.int64)
        entity[place[place >= 0]] = np.flatnonzero(place >= 0)
        floats = member.dim + sum(view.dim for view in users)
        try:
            for part, column in rows.vectors(wanted[entity], self._batch_rows(floats)):
                entities = entity[part]
                batch_keys = keys.take(pa.array(entities))
                native = native_matrix(column, member, self._family.embedding, batch_keys)
                values: list[tuple[ViewChanges, Matrix | None]] = [
                    (view, view.transformed(version, entities, native)) for view in users
                ]
                yield version, entities, values
        except FeastBCError as error:
            self._fail([view.name for view in users], error)

    def _rest(self, views: Sequence[ViewChanges]) -> Iterator[_Batch]:
        """What to write for entities that may have no value any more, and for bare states."""
        users = [view for view in views if view.name not in self._errors]
        rest = np.flatnonzero(self._last == NONE)
        step = self._batch_rows(len(users) or 1)
        for start in range(0, len(rest), step):
            yield NONE, rest[start : start + step], [(view, None) for view in users]

    def _batch_rows(self, floats: int) -> int:
        """How many entities fit a batch, if each takes so many floats."""
        bounded = max(1, min(_ROWS_PER_BATCH, _FLOATS_PER_BATCH // floats))
        return min(bounded, self._write_batch_size or bounded)

    def _write(
        self,
        keys: pa.Table,
        batch: _Batch,
        views: Sequence[ViewChanges],
        states: FamilyStates,
        progress: Progress,
    ) -> None:
        version, entities, vectors = batch
        batch_keys = keys.take(pa.array(entities))
        try:
            state = decode_states(self._family, self._read_states(batch_keys))
            alive = [view for view in views if view.name not in self._errors]
            settled = states.settle(state, entities, alive)
            written = {view.name: mask for view, mask in zip(alive, settled, strict=True)}
            values = [
                view.values(version, entities, written[view.name], found)
                for view, found in vectors
                if view.name in written
            ]
            values.append(self._states(state, version, entities, states))
            self._writer.write(batch_keys, [each for each in values if len(each.rows)])
        except Exception as error:  # stores raise whatever their driver raises
            names = ", ".join(view.name for view, _ in vectors)
            raise MaterializationError(
                f"{names}: the online store did not take the values of {len(entities)} "
                f"entities ({sample(batch_keys)}): {type(error).__name__}: {error}. Values that "
                "were written before are valid and stay. Repair the online store and run the same "
                "command again; it writes what is missing."
            ) from error
        for view, found in vectors:
            if found is not None and view.name in written:
                spared = view.takes(version, entities) & ~written[view.name]
                self._kept += int(spared.sum())
        progress(sum(len(each.rows) for each in values[:-1]))

    def _states(
        self, state: State, version: int, entities: RowNumbers, states: FamilyStates
    ) -> ViewValues:
        """The states of those entities of a batch that get nothing more in this run."""
        rows = np.flatnonzero(self._last[entities] == version)
        return ViewValues(
            self._state_view, rows, states.instants[entities[rows]], state.encode()[rows]
        )

    def _fail(self, names: Sequence[str], error: Exception) -> None:
        if isinstance(error, FeastBCError):
            error = type(error)(f"{', '.join(names)}: {error}")
        for name in names:
            self._errors.setdefault(name, error)
