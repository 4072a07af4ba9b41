"""A version view's values at the end of a window, from its versions' latest rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.align import align
from feast_bc.columns.arrays import NEVER, Instants, Mask, RowNumbers
from feast_bc.columns.instants import to_micros
from feast_bc.columns.timestamps import to_instants
from feast_bc.native.latest_rows import TIMESTAMP, VECTOR, said_unchanged
from feast_bc.rule import Plan, Rows, Winners
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.values import values

PullNative = Callable[[EmbeddingVersion, datetime], pa.Table]
"""(version, end) -> its latest native row per entity at or before `end`, with the columns
`join_keys`, `VECTOR` and `TIMESTAMP`, and UNCHANGED where unchanged vectors are kept."""


@dataclass(frozen=True)
class Changes:
    """A view's values at the end of a window, per entity.

    Attributes:
        winner: shape `(n,)`, the version that gives the value, or NONE.
        changed: shape `(n,)`, whether the value is news.
        touched: shape `(n,)`, who got a row, whether or not it changed the value.
        unknown: shape `(n,)`, where no version that counts has a row, but may have had one: what
            stands online, if anything does, must go.
    """

    winner: Winners
    changed: Mask
    touched: Mask
    unknown: Mask
    _plan: Plan
    _rows: Mapping[int, Rows]
    _until: int

    def instants(self, entities: RowNumbers | Mask) -> Instants:
        """The event timestamps of some entities' values, in microseconds."""
        rows = {version: each.of(entities) for version, each in self._rows.items()}
        instants = self._plan.instants(self.winner[entities], self._until, rows)
        instants[instants == NEVER] = self._until
        return instants


def changes(plan: Plan, rows: Mapping[int, Rows], since: int | None, until: int) -> Changes:
    """Which version gives each entity's value at an instant, and whether that is news.

    Args:
        plan: the view's plan.
        rows: per version its newest rows at `until`, aligned with the same `n` entities.
        since: from when on rows are news; None: everything is.
        until: the instant, in microseconds. It dates a null that no row explains.
    """
    winner = plan.winners_now(until, rows)
    if since is None:
        counting = [rows[version] for version in plan.counting(until) if version in rows]
        known = np.logical_or.reduce([each.instant != NEVER for each in counting])
        return Changes(winner, known, known, ~known, plan, rows, until)
    changed = plan.changed(since, until, winner, rows)
    touched = plan.touched(since, until, rows)
    nobody = np.zeros(len(winner), bool)
    return Changes(winner, changed, touched, nobody, plan, rows, until)


def changed_values(
    source: BackwardCompatibleSource,
    pull: PullNative,
    *,
    join_keys: Sequence[str],
    feature: str,
    start: datetime,
    end: datetime,
) -> pa.Table:
    """The view's values at `end` that changed since `start`.

    Args:
        source: the view's source.
        pull: reads native rows.
        join_keys: the entity's key columns.
        feature: the name of the vector column to return.
        start, end: the window, both inclusive, aware. If a cut-over lies in it, every value is
            returned.

    Returns:
        A table with `join_keys`, `feature` (list<float32>; null where an entity has no value any
        more) and the source's timestamp field (UTC microseconds), one row per entity.
    """
    plan = source.plan
    since, until = to_micros(start), to_micros(end)
    news = None if plan.changes_between(since, until) else since
    versions = plan.ever_counting if news is None else plan.counting(until)
    members = [source.member(version) for version in versions]
    tables = [pull(member, end) for member in members]
    keys, places = align([table.select(list(join_keys)) for table in tables])
    rows = {
        member.version: rows_at(
            place,
            to_instants(table[TIMESTAMP]),
            np.asarray(table[VECTOR].is_valid()),
            said_unchanged(table),
        )
        for member, table, place in zip(members, tables, places, strict=True)
    }
    found = changes(plan, rows, news, until)
    wanted = found.changed | found.unknown
    columns = {
        member.version: _take(table[VECTOR], place[wanted])
        for member, table, place in zip(members, tables, places, strict=True)
    }
    vectors = values(source, found.winner[wanted], columns)
    instants = pa.array(found.instants(wanted), pa.timestamp("us", "UTC"))
    return (
        keys.filter(pa.array(wanted))
        .append_column(feature, vectors)
        .append_column(source.timestamp_field, instants)
    )


def rows_at(
    place: RowNumbers, instants: Instants, has_vector: Mask, unchanged: Instants | None = None
) -> Rows:
    """A version's newest rows for some entities.

    Args:
        place: shape `(n,)`, each entity's row in the version's table, or -1.
        instants, has_vector: shape `(m,)`, that table's timestamps and validity.
        unchanged: shape `(m,)`, as in `Rows`.
    """
    present = place >= 0
    found = Rows(instants, has_vector, unchanged)
    if len(place) == len(instants) and np.array_equal(place, np.arange(len(place))):
        return found
    there = found.of(place[present])
    spread = Rows(np.full(len(place), NEVER, np.int64), np.zeros(len(place), bool))
    spread.instant[present], spread.has_vector[present] = there.instant, there.has_vector
    if there.unchanged is None:
        return spread
    said = np.full(len(place), NEVER, np.int64)
    said[present] = there.unchanged
    return spread._replace(unchanged=said)


def _take(column: pa.ChunkedArray, row: RowNumbers) -> pa.ChunkedArray:
    """`column[row]`, null where there is no row."""
    return pa.chunked_array(column.take(pa.array(row, mask=row < 0)))
