"""Reading a view whose values are worked out when they are read.

The store has each version's newest native vector per entity, and a state that tells whose row is
how old. The states are read together with what the newest version that counts has for nearly all
entities; the entities whose value comes from another version are read again, in one more round
trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from feast_bc.encoding import decode, decode_bytes
from feast_bc.reading import STATES, Column, Reading, Request, Wanted
from feast_bc.rule import NEVER, NONE, Instants, State, Winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.vectors import Mask, Matrix

# Versions whose vectors together stay below this size are all read at once: a second round trip
# costs more than so many bytes do.
_BYTES_AT_ONCE = 2**13


class Resolved(NamedTuple):
    """Values of a version view.

    Attributes:
        vectors: float32 of shape `(n, dim)`, NaN where there is no value.
        present: bool of shape `(n,)`, where there is a value.
        found: bool of shape `(n,)`, where any version that counts has a row: a materialization
            would have written a value or a null.
        instants: shape `(n,)`, event timestamps in microseconds; NEVER if not found.
    """

    vectors: Matrix
    present: Mask
    found: Mask
    instants: Instants


def resolve(source: BackwardCompatibleSource, count: int, now: int) -> Reading[Resolved]:
    """Plan the read of a view that is served on read.

    Args:
        source: the view's source.
        count: n, the number of entities.
        now: the instant of the read, in microseconds.

    Raises:
        DimensionError, InvalidVectorsError: a stored vector is not what its version promises.
        ArtifactError: a transformation cannot be loaded.
    """
    plan = source.plan
    counting = plan.counting(now)
    first = counting[: _affordable(source, counting, count)]
    states, *columns = yield Request((STATES, *(Wanted("natives", k) for k in first)))
    state = decode_states(source, states)
    rows = {counting[0]: state.rows(counting[0])}
    winner = plan.winners_now(now, rows)
    if (winner == NONE).any():  # in most reads the newest version has everything
        rows = {version: state.rows(version) for version in counting}
        winner = plan.winners_now(now, rows)
    instants = plan.instants(winner, now, rows)
    values = _Values(source, winner)
    for version, column in zip(first, columns, strict=True):
        values.take(version, column, None)
        if values.present.all():
            break
    rest = [version for version in counting[len(first) :] if (winner == version).any()]
    if rest:
        positions = np.flatnonzero(np.isin(winner, rest))
        more = yield Request(tuple(Wanted("natives", k) for k in rest), positions)
        for version, column in zip(rest, more, strict=True):
            values.take(version, column, positions)
    return Resolved(values.vectors, values.present, instants != NEVER, instants)


def decode_states(source: BackwardCompatibleSource, stored: Column) -> State:
    """The states of a version view's entities, as a reader gives them."""
    digests = source.digests
    return State.decode(decode_bytes(stored, State.width(len(digests))), digests)


class _Values:
    """The values that were read so far."""

    def __init__(self, source: BackwardCompatibleSource, winner: Winners) -> None:
        self._source = source
        self._winner = winner
        self._vectors: Matrix | None = None
        self.present: Mask = np.zeros(len(winner), bool)

    @property
    def vectors(self) -> Matrix:
        """NaN where nothing was taken."""
        if self._vectors is None:
            shape = (len(self._winner), self._source.dim)
            self._vectors = np.full(shape, np.nan, np.float32)
        return self._vectors

    def take(self, version: int, column: Column, positions: Winners | None) -> None:
        """Transform the vectors of the entities that a version wins.

        Args:
            version: k.
            column: the stored vectors.
            positions: whose they are; None for all.
        """
        wins = self._winner == version
        if not wins.any():
            return
        if wins.all() and positions is None:
            native, there = self._decode(version, column)
            if there.all():
                self._vectors, self.present = self._mapped(version, native), there
                return
        if positions is None:
            positions = np.arange(len(wins))
        places = np.flatnonzero(wins[positions])
        native, there = self._decode(version, [column[i] for i in places.tolist()])
        here = positions[places[there]]
        self.vectors[here] = self._mapped(version, native[there])
        self.present[here] = True

    def _decode(self, version: int, column: Column) -> tuple[Matrix, Mask]:
        source = self._source
        of = f"{source.embedding} version {version} in the online store"
        return decode(column, source.member(version).dim, of=of)

    def _mapped(self, version: int, native: Matrix) -> Matrix:
        if version == self._source.version:
            return native
        return np.ascontiguousarray(self._source.chain_from(version).apply(native))


def _affordable(source: BackwardCompatibleSource, counting: Sequence[int], count: int) -> int:
    """How many of the versions that count, newest first, are read at once: one at least."""
    dims = (source.member(version).dim for version in counting)
    return max(1, sum(size <= _BYTES_AT_ONCE for size in accumulate(4 * d * count for d in dims)))
