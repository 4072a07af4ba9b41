"""One bucket of entities: from their native rows to what is written for them.

Every engine runs this function. It brings all native rows of an entity into one bucket; the local
engine has one bucket, with all entities. Rows go by in batches; each batch is transformed into the
spaces of the views that take their values from it, and all of them are written together, with the
entities' states last. A view's value never depends on another batch, so whatever has been written
is valid if the run ends early.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.align import align, places
from feast_bc.columns.arrays import Matrix, RowNumbers
from feast_bc.errors import FeastBCError, MaterializationError
from feast_bc.materialization.native_matrix import native_matrix, sample
from feast_bc.materialization.states import FamilyStates, overdue_values
from feast_bc.materialization.target import Target
from feast_bc.materialization.view_changes import ViewChanges
from feast_bc.materialization.work import Progress, StartProgress, Work
from feast_bc.native.latest_rows import LatestRows
from feast_bc.online.ahead import ahead
from feast_bc.online.on_read import decode_states
from feast_bc.online.request import STATES, Column, Request
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import OnlineWriter, ViewValues
from feast_bc.rule import NONE, State, Winners
from feast_bc.views.changes import Changes, rows_at

ReadStates = Callable[[pa.Table], Column]
"""Reads the stored states of entities, given their join keys."""

_Batch: TypeAlias = tuple[int, RowNumbers, list[tuple[ViewChanges, "Matrix | None"]]]
"""The version that gives the values (NONE: nobody), entities of the bucket, and per view the
vectors of those entities that take theirs from it."""

# Bounds the memory of one batch: 16 Mi float32 are 64 MiB, and some copies of them.
_FLOATS_PER_BATCH = 2**24
_ROWS_PER_BATCH = 2**15

_logger = logging.getLogger(__name__)


class Bucket:
    """Writes the views of some entities.

    Args:
        work: what to write. Errors are noted there.
        read_states: reads states.
        writer: writes to the online store.
        write_batch_size: how many entities to write at once, at most; None for a size that
            bounds memory.
    """

    def __init__(
        self,
        work: Work,
        *,
        read_states: ReadStates,
        writer: OnlineWriter,
        write_batch_size: int | None = None,
    ) -> None:
        self._work = work
        self._read_states = read_states
        self._writer = writer
        self._write_batch_size = write_batch_size
        self._family = work.family
        self._state_view = work.state_view
        self._last: Winners = np.empty(0, np.int16)
        self._kept = 0

    @classmethod
    def of_store(cls, work: Work, store: OnlineStore, config: RepoConfig) -> Bucket:
        """A bucket that is written to an online store, through a writer of its own."""

        def read_states(keys: pa.Table) -> Column:
            reader = reader_for_table(store, config, work.newest, keys)
            (states,) = reader.read(Request((STATES,)))
            return states

        return cls(
            work,
            read_states=read_states,
            writer=writer_for(store, config),
            write_batch_size=config.materialization_config.online_write_batch_size,
        )

    def write(
        self,
        natives: Mapping[EmbeddingVersion, LatestRows],
        later_keys: Sequence[pa.Table],
        start_progress: StartProgress,
    ) -> None:
        """Write every changed value.

        Args:
            natives: per version its entities' newest native rows, newest version first.
            later_keys: entities that an earlier run up to a later instant may have written.
            start_progress: called with the number of values to write, before the first is.
        """
        targets = self._work.alive()
        keys, found_at = align([*(rows.keys for rows in natives.values()), *later_keys])
        place = dict(zip(natives, found_at, strict=False))
        rows = {
            member.version: rows_at(
                place[member], found.instants, found.has_vector, found.unchanged
            )
            for member, found in natives.items()
        }
        since = {version: self._work.news_since(version) for version in rows}
        states = FamilyStates(rows, self._work.until, since)
        found = {target.name: self._work.changes(target, rows) for target in targets}
        try:
            self._add_overdue(keys, targets, found)
        except Exception as error:  # stores raise whatever their driver raises
            self._work.fail(
                [target.name for target in targets],
                unanswered("the states of the entities", "Nothing was written for them", error),
            )
            return
        views = [view for target in targets if (view := self._view(target, found[target.name]))]
        self._last = states.last_givers(list(rows), views)
        progress = start_progress(sum(view.count() for view in views))
        try:
            for batch in ahead(self._batches(dict(natives), place, views, keys)):
                self._write(keys, batch, views, states, progress)
        except MaterializationError as error:
            for view in views:
                self._work.errors.setdefault(view.name, error)
        if self._kept:
            _logger.info(
                "%s: %d pushed value(s) stay, newer than the rows of the batch sources",
                self._family.embedding,
                self._kept,
            )

    def _add_overdue(
        self, keys: pa.Table, targets: Sequence[Target], found: Mapping[str, Changes]
    ) -> None:
        """Count as changed what only the states tell of, in views that are not written whole."""
        partly = [t for t in targets if t.since is not None and t.kept is None]
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
                    state, target.plan, self._work.until, known.winner[part], known.touched[part]
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
            self._work.fail([target.name], error)
            return None
        return ViewChanges(target.view, found, chains, native=target.kept is not None)

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
        users = [v for v in views if v.name not in self._work.errors and v.takes(version).any()]
        if not users:
            return
        wanted = np.logical_or.reduce([view.takes(version) for view in users])
        entity = places(place, len(rows.instants))
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
            self._work.fail([view.name for view in users], error)

    def _rest(self, views: Sequence[ViewChanges]) -> Iterator[_Batch]:
        """What to write for entities that may have no value any more, and for bare states."""
        users = [view for view in views if view.name not in self._work.errors]
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
            alive = [view for view in views if view.name not in self._work.errors]
            settled = states.settle(state, entities, alive)
            written = {view.name: mask for view, mask in zip(alive, settled, strict=True)}
            values = [
                view.values(version, entities, written[view.name], found)
                for view, found in vectors
                if view.name in written
            ]
            values.append(self._states(state, version, entities, states))
            # No state tells of a vector that is deleted already.
            values.sort(key=lambda each: each.absent)
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
        progress(
            sum(len(v.rows) for v in values if not v.absent and v.view is not self._state_view)
        )

    def _states(
        self, state: State, version: int, entities: RowNumbers, states: FamilyStates
    ) -> ViewValues:
        """The states of those entities of a batch that get nothing more in this run."""
        rows = np.flatnonzero(self._last[entities] == version)
        return ViewValues(
            self._state_view,
            rows,
            states.instants[entities[rows]],
            state.encode()[rows],
            private=True,
        )


def unanswered(what: str, done: str, error: Exception) -> MaterializationError:
    """An online store's failure to answer.

    Args:
        what: what was asked of it.
        done: what had been done by then.
        error: what it raised.
    """
    found = MaterializationError(
        f"the online store does not answer for {what}: {type(error).__name__}: {error}. {done}. "
        "Repair the online store and run the same command again."
    )
    found.__cause__ = error
    return found
