"""The values of a version view at the end of a materialization window.

Materialization writes the view's value at `end` for every entity whose value changed since
`start`, with the instant at which it took effect as its event timestamp. A cut-over, a rollback or
an expired TTL changes values without a new native row, and may bring back a row that is older than
the one it replaces; online stores keep the row with the newest timestamp, so the timestamp has to
be that of the change. For an entity whose rows are all of the view's own version it is the native
row's timestamp, as in stock Feast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feast_bc.activation import NEVER, Instants, last_boundary, to_micros
from feast_bc.resolution import Winners, values, winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.vectors import Mask
from feast_bc.versions import EmbeddingVersion

PullNative = Callable[[EmbeddingVersion, datetime], pa.Table]
"""(version, end) -> its latest native row per entity at or before `end`, with the columns
`join_keys`, `VECTOR` and `TIMESTAMP`."""

VECTOR = "__feast_bc_vector"
TIMESTAMP = "__feast_bc_timestamp"


class NativeRows(Protocol):
    """The latest native row of one version for each of `n` entities.

    Attributes:
        member: the version.
        present: shape `(n,)`, whether there is a row.
        instant: shape `(n,)`, its timestamp in microseconds; anything where there is none.
        has_vector: shape `(n,)`, whether the row has a vector that is not null.
    """

    @property
    def member(self) -> EmbeddingVersion: ...
    @property
    def present(self) -> Mask: ...
    @property
    def instant(self) -> Instants: ...
    @property
    def has_vector(self) -> Mask: ...


@dataclass(frozen=True)
class Natives:
    """`NativeRows` that were taken from a table.

    Attributes:
        member: the version.
        row: shape `(n,)`, the entity's row in the version's table, or -1.
        instant: shape `(n,)`, that row's timestamp in microseconds; anything where there is none.
        has_vector: shape `(n,)`, whether the row has a vector that is not null.
    """

    member: EmbeddingVersion
    row: Winners
    instant: Instants
    has_vector: Mask

    @property
    def present(self) -> Mask:
        return self.row >= 0


@dataclass(frozen=True)
class Changes:
    """What materialization writes for a view, per entity.

    Attributes:
        winner: int64 of shape `(n,)`, the version that gives the value, or NONE.
        effective: shape `(n,)`, when the value took effect, in microseconds.
        changed: shape `(n,)`, whether it is to be written.
    """

    winner: Winners
    effective: Instants
    changed: Mask


def relevant_members(source: BackwardCompatibleSource, until: int) -> list[EmbeddingVersion]:
    """The versions that have had a say in the view's values until an instant, oldest first."""
    return [
        member
        for member in source.members
        if member.version == source.version or last_boundary(member.activations, until) is not None
    ]


def changes(
    source: BackwardCompatibleSource,
    natives: Sequence[Natives],
    *,
    start: datetime,
    end: datetime,
    now: datetime | None = None,
) -> Changes:
    """Which version gives each entity's value at `end`, since when, and whether that is news.

    Args:
        source: the view's source.
        natives: the relevant versions' latest rows, aligned with the same `n` entities. Entities
            without any row have nothing to write.
        start, end, now: as for `changed_values`.
    """
    until = to_micros(end)
    now = now or datetime.now(timezone.utc)
    known = np.logical_or.reduce([native.present for native in natives])
    winner = winners(
        source,
        np.full(len(known), until, np.int64),
        {native.member.version: usable(source, native, until) for native in natives},
    )
    effective = effective_instants(source, natives, winner, until)
    applied = source.last_updated_timestamp
    if applied is not None and applied < start <= now:
        known &= effective >= to_micros(start)
    return Changes(winner, effective, known)


def changed_values(
    source: BackwardCompatibleSource,
    pull: PullNative,
    *,
    join_keys: Sequence[str],
    feature: str,
    start: datetime,
    end: datetime,
    now: datetime | None = None,
) -> pa.Table:
    """The view's values at `end` that took effect since `start`.

    Args:
        source: the view's source.
        pull: reads native rows.
        join_keys: the entity's key columns.
        feature: the name of the vector column to return.
        start, end: the window, both inclusive, aware. Everything counts as changed when the view
            was applied to the registry after `start`, since what stands online then was written
            under an older plan.
        now: the present; None asks the clock.

    Returns:
        A table with `join_keys`, `feature` (list<float32>; null where an entity has no value any
        more) and the source's timestamp field (UTC microseconds), one row per entity.
    """
    relevant = relevant_members(source, to_micros(end))
    tables = [pull(member, end) for member in relevant]
    keys, rows = align([table.select(list(join_keys)) for table in tables])
    natives = [
        natives_of(member, row, micros(table[TIMESTAMP]), np.asarray(table[VECTOR].is_valid()))
        for member, table, row in zip(relevant, tables, rows, strict=True)
    ]
    found = changes(source, natives, start=start, end=end, now=now)
    changed = pa.array(found.changed)
    columns = {
        native.member.version: _take(table[VECTOR], native.row[found.changed])
        for native, table in zip(natives, tables, strict=True)
    }
    vectors = values(source, found.winner[found.changed], columns)
    effective = pa.array(found.effective[found.changed], pa.timestamp("us", "UTC"))
    return (
        keys.filter(changed)
        .append_column(feature, vectors)
        .append_column(source.timestamp_field, effective)
    )


def align(keys: Sequence[pa.Table]) -> tuple[pa.Table, list[Winners]]:
    """The distinct keys of all tables, and per table the row that each of them has there.

    Args:
        keys: tables of the same columns; the rows of each are distinct.

    Returns:
        The keys in order of their first appearance, and per table int64 of shape `(n,)`: a row
        of that table, or -1.
    """
    if all(table.equals(keys[0]) for table in keys[1:]):
        # Versions computed for the same entities in the same order: nothing to match.
        return keys[0], [np.arange(len(keys[0]))] * len(keys)
    everything = pa.concat_tables(keys, promote_options="permissive")
    codes = key_codes(everything)
    count = int(codes.max()) + 1 if len(codes) else 0
    first = np.zeros(count, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    rows = []
    start = 0
    for table in keys:
        row = np.full(count, -1, np.int64)
        row[codes[start : start + len(table)]] = np.arange(len(table))
        rows.append(row)
        start += len(table)
    return everything.take(pa.array(first)), rows


def key_codes(keys: pa.Table) -> Winners:
    """A number per distinct key, counted from 0 in order of first appearance."""
    codes: Winners | None = None
    for column in keys.columns:
        distinct = column.dictionary_encode("encode").combine_chunks()
        code = np.asarray(distinct.indices).astype(np.int64)
        if codes is None:
            codes = code  # numbered by first appearance already
        else:
            codes, _ = pd.factorize(codes * max(1, len(distinct.dictionary)) + code)
    return np.zeros(len(keys), np.int64) if codes is None else codes


def natives_of(
    member: EmbeddingVersion, row: Winners, instants: Instants, has_vector: Mask
) -> Natives:
    """Align a table's timestamps and validity with entities, given each entity's row in it."""
    present = row >= 0
    instant = np.full(len(row), NEVER, np.int64)
    instant[present] = instants[row[present]]
    valid = np.zeros(len(row), bool)
    valid[present] = has_vector[row[present]]
    return Natives(member, row, instant, valid)


def _take(column: pa.ChunkedArray, row: Winners) -> pa.ChunkedArray:
    """`column[row]`, null where there is no row."""
    return pa.chunked_array(column.take(pa.array(row, mask=row < 0)))


def usable(source: BackwardCompatibleSource, native: NativeRows, until: int) -> Mask:
    """Whose native row has a vector that is within the TTL at `until`."""
    mask = native.has_vector
    if source.ttl is not None:
        mask = mask & (native.instant >= until - _ttl(source))
    return mask


def effective_instants(
    source: BackwardCompatibleSource, natives: Sequence[NativeRows], winner: Winners, until: int
) -> Instants:
    """When the present value of each entity took effect, in microseconds.

    It never lies after `until`, and for every later change it is later: a row arrives, expires or
    is cut over after the instant at which the previous value was seen to hold.
    """
    effective = np.full(winner.shape, NEVER, np.int64)
    depends_on_plan = np.zeros(winner.shape, bool)
    oldest = int(winner.min(initial=source.members[-1].version))
    for native in natives:
        np.copyto(effective, native.instant, where=winner == native.member.version)
        if native.member.version > source.version:
            depends_on_plan |= native.present
    for native in natives:
        member = native.member
        if member.version > oldest:
            passed_over = native.present & (winner < member.version)
            # A row without a vector ends the previous value when it arrives.
            _raise_to(effective, native.instant, passed_over & ~native.has_vector)
            if source.ttl is not None:
                expiry = native.instant + _ttl(source) + 1
                _raise_to(effective, expiry, passed_over & (expiry <= until))
        boundary = last_boundary(member.activations, until)
        if member.version != source.version and boundary is not None:
            _raise_to(effective, boundary, native.present)
    _raise_to(effective, source.applied_at(until), depends_on_plan)
    return effective


def _raise_to(effective: Instants, floor: Instants | int, where: Mask) -> None:
    np.maximum(effective, floor, out=effective, where=where)


def _ttl(source: BackwardCompatibleSource) -> int:
    assert source.ttl is not None  # noqa: S101 - callers have checked
    return round(source.ttl.total_seconds() * 1_000_000)


def micros(column: pa.ChunkedArray) -> Instants:
    """A timestamp column as microseconds since the epoch; naive timestamps are UTC."""
    instants = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    as_array: Instants = pc.cast(instants, pa.int64()).to_numpy()
    return as_array
