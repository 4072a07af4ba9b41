"""Reading a view whose values are worked out when they are read.

The store has each version's newest native vector per entity, and a state that tells whose row is
how old. The states are read together with what the newest version that counts has for nearly all
entities; the entities whose value comes from another version are read again, in one more round
trip.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from feast_bc.columns.arrays import NEVER, Instants, Mask, Matrix, RowNumbers
from feast_bc.columns.encoding import decode, decode_bytes
from feast_bc.errors import NotKeptError
from feast_bc.feast_internals import measures_reads
from feast_bc.metrics import metrics
from feast_bc.online.request import STATES, Column, Reading, Request, Wanted
from feast_bc.rule import State, Winners
from feast_bc.views.source import BackwardCompatibleSource

# If the vectors of all versions stay below this size, they are read at once: a second round trip
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
        NotKeptError: the store did not keep a vector that gives a value.
    """
    plan = source.plan
    counting = plan.counting(now)
    first = counting if count * source.native_size <= _BYTES_AT_ONCE else counting[:1]
    states, *columns = yield _request(first)
    state = decode_states(source, states)
    newest = state.rows(counting[0])
    if plan.newest_gives_all(now, newest):  # as in most reads
        native, there = _decode(source, counting[0], columns[0])
        if np.count_nonzero(there) == count:
            if measures_reads():
                _measure(source, {counting[0]: count}, 0, newest.instant, now)
            return Resolved(_mapped(source, counting[0], native), there, there, newest.instant)
    rows = {version: state.rows(version) for version in counting}
    winner = plan.winners_now(now, rows)
    _check_kept(source, state, winner, now)
    instants = plan.instants(winner, now, rows)
    values = _Values(source, winner)
    for version, column in zip(first, columns, strict=True):
        values.take(version, column, np.arange(count))
    rest = [version for version in counting[len(first) :] if (winner == version).any()]
    if rest:
        positions = np.flatnonzero(np.isin(winner, rest))
        more = yield Request(tuple(Wanted("natives", k) for k in rest), positions)
        for version, column in zip(rest, more, strict=True):
            values.take(version, column, positions)
    if measures_reads():
        givers, counts = np.unique(winner[values.present], return_counts=True)
        given = dict(zip(givers.tolist(), counts.tolist(), strict=True))
        _measure(source, given, int(np.count_nonzero(~values.present)), instants, now)
    return Resolved(values.vectors, values.present, instants != NEVER, instants)


def decode_states(source: BackwardCompatibleSource, stored: Column) -> State:
    """The states of a version view's entities, as a reader gives them."""
    digests = source.digests
    return State.decode(decode_bytes(stored, State.width(len(digests))), digests)


def _check_kept(source: BackwardCompatibleSource, state: State, winner: Winners, now: int) -> None:
    """Raise NotKeptError if a value comes from a vector that was not kept."""
    missing = {
        version: int(np.count_nonzero(state.dropped(version) & (winner == version)))
        for version in source.plan.counting(now)
    }
    missing = {version: count for version, count in missing.items() if count}
    if missing:
        found = ", ".join(f"version {k} for {count}" for k, count in missing.items())
        raise NotKeptError(
            f"{source.name}: the online store did not keep the native vectors of "
            f"{source.embedding} {found} of {len(winner)} entities: no view needed them, nor would "
            f"have after {source.rollback_versions} rollback(s) (rollback_versions), when they "
            f"were materialized. Run `feast materialize --disable-event-timestamp --views "
            f"{source.name}`."
        )


class _Values:
    """The values that were read so far."""

    def __init__(self, source: BackwardCompatibleSource, winner: Winners) -> None:
        self._source = source
        self._winner = winner
        self.vectors: Matrix = np.full((len(winner), source.dim), np.nan, np.float32)
        self.present: Mask = np.zeros(len(winner), bool)

    def take(self, version: int, column: Column, positions: RowNumbers) -> None:
        """Transform the vectors of the entities that a version wins.

        Args:
            version: k.
            column: the stored vectors.
            positions: whose they are.
        """
        places = np.flatnonzero(self._winner[positions] == version)
        native, there = _decode(self._source, version, [column[i] for i in places.tolist()])
        here = positions[places[there]]
        if len(here):
            self.vectors[here] = _mapped(self._source, version, native[there])
            self.present[here] = True


def _decode(source: BackwardCompatibleSource, version: int, column: Column) -> tuple[Matrix, Mask]:
    """Stored native vectors of a version, and where there are any."""
    of = f"{source.embedding} version {version} in the online store"
    return decode(column, source.member(version).dim, of=of)


def _mapped(source: BackwardCompatibleSource, version: int, native: Matrix) -> Matrix:
    """Native vectors of a version, transformed to the view's."""
    if version == source.version:
        return native
    chain = source.chain_from(version)
    if not measures_reads():
        return np.ascontiguousarray(chain.apply(native))
    with metrics().transforming(source.name):
        return np.ascontiguousarray(chain.apply(native))


def _measure(
    source: BackwardCompatibleSource,
    given: Mapping[int, int] | Mapping[str, int],
    nulls: int,
    instants: Instants,
    now: int,
) -> None:
    measured = metrics()
    measured.read(source, given, nulls)
    if measured.due(source.name):
        measured.gauges(source, int(instants.max(initial=NEVER)), now)


@lru_cache
def _request(versions: tuple[int, ...]) -> Request:
    """The states, and the native vectors of some versions, of all entities."""
    return Request((STATES, *(Wanted("natives", version) for version in versions)))
