"""The one rule at the instant of a read, over the native vectors in an online store.

Feast stores one row per entity and view: each version's newest native vector. What the newest
active version has for nearly all entities is read first, with the timestamps of the other
versions; the entities that it lacks are read again, in one more round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from feast_bc.activation import NEVER, Instants, active_at, last_boundary
from feast_bc.encoding import decode
from feast_bc.latest import effective_instants, usable
from feast_bc.resolution import NONE, Winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.stored_rows import Plan, Positions, Request, StoredRows, Wanted
from feast_bc.vectors import Mask, Matrix
from feast_bc.versions import EmbeddingVersion

# Versions whose vectors together stay below this size are all read at once: a second round trip
# costs more than so many bytes do.
_BYTES_AT_ONCE = 2**13


@dataclass(frozen=True)
class Resolved:
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
    candidates, others = _members(source, now)
    if not instants:
        others = []
    first = candidates[: _affordable(candidates, count)]
    rest = candidates[len(first) :]
    timestamps = [*rest, *others] if instants else others
    needed = instants or source.ttl is not None
    rows = yield Request(
        (
            *(Wanted(member.version) for member in first),
            *(Wanted(member.version, value=False) for member in timestamps),
        ),
        instants=needed,
    )
    state = _State(source, count, now)
    for member, read in zip(first, rows, strict=False):
        state.take(member, read, None)
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
            state.take(member, read, left)
    return state.resolved()


def _members(
    source: BackwardCompatibleSource, now: int
) -> tuple[list[EmbeddingVersion], list[EmbeddingVersion]]:
    """The versions that may give values at an instant, newest first, and those that once did."""
    at = np.array([now])
    candidates, others = [], []
    for member in reversed(source.members):
        if member.version == source.version or active_at(member.activations, at)[0]:
            candidates.append(member)
        elif last_boundary(member.activations, now) is not None:
            others.append(member)  # its rows tell when an older version's value came back
    return candidates, others


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

    def take(self, member: EmbeddingVersion, rows: StoredRows, positions: Positions | None) -> None:
        """Give the entities at `positions` that have no value yet this version's."""
        source = self.source
        before = self.winner if positions is None else self.winner[positions]
        waiting = before == NONE
        if positions is None and not waiting.any():
            self.date(member, rows)  # newer versions gave all values
            return
        of = f"{source.embedding} version {member.version} in the online store"
        native, present = decode(rows.values, member.dim, of=of)
        natives = _Natives(member, rows.instants, present)
        if positions is None:
            self.natives[member.version] = natives
        elif member.version in self.natives:
            self.natives[member.version].has_vector[positions] = present
        wins = usable(source, natives, self.now) & waiting
        if not wins.any():
            return
        everyone = positions is None and bool(wins.all())
        vectors = native if everyone else native[wins]
        if member.version != source.version:
            vectors = source.chain_from(member.version).apply(vectors)
        if everyone:
            self.vectors = np.ascontiguousarray(vectors)
            self.winner.fill(member.version)
            return
        where = np.flatnonzero(wins) if positions is None else positions[wins]
        self.vectors[where] = vectors
        self.winner[where] = member.version

    def resolved(self) -> Resolved:
        found = np.zeros(len(self.winner), bool)
        for native in self.natives.values():
            found |= native.present
        natives = list(self.natives.values())
        effective = effective_instants(self.source, natives, self.winner, self.now)
        return Resolved(self.vectors, self.winner != NONE, found, effective)
