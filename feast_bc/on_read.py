"""The one rule at the instant of a read, over the native vectors in an online store.

Feast stores one row per entity and view: each version's newest native vector. What the newest
active version has for nearly all entities is read first, with the timestamps of the other
versions; the entities that it lacks are read again, in one more round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from feast_bc.activation import NEVER, Instants
from feast_bc.encoding import decode
from feast_bc.latest import effective_instants, usable
from feast_bc.resolution import NONE, Winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.standing import Standing
from feast_bc.stored_rows import Plan, Positions, Request, StoredRows, Wanted
from feast_bc.vectors import Mask, Matrix
from feast_bc.versions import EmbeddingVersion

# Versions whose vectors together stay below this size are all read at once: a second round trip
# costs more than so many bytes do.
_BYTES_AT_ONCE = 2**13

Decoded = tuple[Matrix, Mask]
"""Vectors and where there are any, from `feast_bc.encoding.decode`."""


class Resolved(NamedTuple):
    """Values of a version view.

    Attributes:
        vectors: float32 of shape `(n, dim)`, NaN where there is no value.
        present: bool of shape `(n,)`, where there is a value.
        found: bool of shape `(n,)`, where any version that counts has a row: a materialization
            would have written a value or a null.
        instants: shape `(n,)`, from when the value holds, in microseconds; NEVER if not found.
    """

    vectors: Matrix
    present: Mask
    found: Mask
    instants: Instants


class _Natives:
    """`feast_bc.latest.NativeRows` of one version, filled as it is read."""

    def __init__(self, member: EmbeddingVersion, instant: Instants, has_vector: Mask) -> None:
        self.member = member
        self.instant = instant
        self.present: Mask = instant != NEVER
        self.has_vector = has_vector


def resolve(
    source: BackwardCompatibleSource, count: int, now: int, *, instants: bool = True
) -> Plan[Resolved]:
    """Plan the read of a view that is served on read.

    Args:
        source: the view's source.
        count: n, the number of entities.
        now: the instant of the read, in microseconds.
        instants: whether anyone will look at `Resolved.instants` and `Resolved.found`.

    Raises:
        DimensionError, InvalidVectorsError: a stored vector is not what its version promises.
        ArtifactError: a transformation cannot be loaded.
    """
    standing = source.standing(now)
    first = standing.candidates[: _affordable(standing.candidates, count)]
    rest = standing.candidates[len(first) :]
    timestamps = [*rest, *standing.others] if instants else []
    needed = instants or source.ttl is not None
    rows = yield Request(
        (
            *(Wanted(member.version) for member in first),
            *(Wanted(member.version, value=False) for member in timestamps),
        ),
        instants=needed,
    )
    newest = _decode(source, first[0], rows[0])
    usual = _usual(source, standing, now, rows[0], newest, instants=instants)
    if usual is not None:
        return usual
    state = _State(source, count, now)
    state.take(first[0], rows[0], newest, None)
    for member, read in zip(first[1:], rows[1:], strict=False):
        if state.complete:
            state.date(member, read)
        else:
            state.take(member, read, _decode(source, member, read), None)
    for member, read in zip(timestamps, rows[len(first) :], strict=True):
        state.date(member, read)
    left = np.flatnonzero(state.winner == NONE)
    if rest and instants:
        some = np.zeros(count, bool)
        for member in rest:
            some |= state.natives[member.version].present
        left = left[some[left]]
    if rest and len(left):
        rows = yield Request(tuple(Wanted(member.version) for member in rest), left, needed)
        for member, read in zip(rest, rows, strict=True):
            state.take(member, read, _decode(source, member, read), left)
    return state.resolved()


def _usual(
    source: BackwardCompatibleSource,
    standing: Standing,
    now: int,
    rows: StoredRows,
    decoded: Decoded,
    *,
    instants: bool,
) -> Resolved | None:
    """What `_State` finds if the newest candidate gives all values and no other row matters.

    Nearly all reads are like that, and small ones would spend more time on the general case than
    on all the rest.
    """
    newest = standing.candidates[0]
    native, present = decoded
    if not present.all():
        return None
    since = rows.instants
    # Within a TTL, a row of a rolled-back version may tell when it expired.
    if source.ttl is not None and (
        standing.others or not usable(source, _Natives(newest, since, present), now).all()
    ):
        return None
    if instants:
        floor = standing.boundary
        if newest.version != source.version:
            floor = max(floor, source.applied_at(now))
        if standing.latest_boundary > floor:
            return None
        since = np.maximum(since, floor)
    return Resolved(_mapped(source, newest, native), present, present, since)


def _decode(
    source: BackwardCompatibleSource, member: EmbeddingVersion, rows: StoredRows
) -> Decoded:
    of = f"{source.embedding} version {member.version} in the online store"
    return decode(rows.values, member.dim, of=of)


def _mapped(source: BackwardCompatibleSource, member: EmbeddingVersion, native: Matrix) -> Matrix:
    if member.version == source.version:
        return native
    return np.ascontiguousarray(source.chain_from(member.version).apply(native))


def _affordable(candidates: Sequence[EmbeddingVersion], count: int) -> int:
    """How many of the candidates, newest first, are read at once: one at least."""
    sizes = accumulate(4 * member.dim * count for member in candidates)
    return max(1, sum(size <= _BYTES_AT_ONCE for size in sizes))


class _State:
    """What is known about each entity so far."""

    def __init__(self, source: BackwardCompatibleSource, count: int, now: int) -> None:
        self.source = source
        self.now = now
        self.winner: Winners = np.full(count, NONE, np.int64)
        self.vectors: Matrix = np.full((count, source.dim), np.nan, np.float32)
        self.natives: dict[int, _Natives] = {}

    def date(self, member: EmbeddingVersion, rows: StoredRows) -> None:
        """Note the timestamps of a version of which no vectors were read."""
        self.natives[member.version] = _Natives(member, rows.instants, rows.present)

    @property
    def complete(self) -> bool:
        """Whether every entity has a value."""
        return bool((self.winner != NONE).all())

    def take(
        self,
        member: EmbeddingVersion,
        rows: StoredRows,
        decoded: Decoded,
        positions: Positions | None,
    ) -> None:
        """Give the entities at `positions` that have no value yet this version's."""
        native, present = decoded
        natives = _Natives(member, rows.instants, present)
        if positions is None:
            self.natives[member.version] = natives
            positions = np.arange(len(present))
        elif member.version in self.natives:
            self.natives[member.version].has_vector[positions] = present
        wins = usable(self.source, natives, self.now) & (self.winner[positions] == NONE)
        self.vectors[positions[wins]] = _mapped(self.source, member, native[wins])
        self.winner[positions[wins]] = member.version

    def resolved(self) -> Resolved:
        found = np.zeros(len(self.winner), bool)
        for native in self.natives.values():
            found |= native.present
        natives = list(self.natives.values())
        effective = effective_instants(self.source, natives, self.winner, self.now)
        return Resolved(self.vectors, self.winner != NONE, found, effective)
