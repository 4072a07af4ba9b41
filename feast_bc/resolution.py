"""The one rule, for whole columns.

At any time t, view j's value for an entity is taken from the newest version k >= j that is active
at t and has a native row for that entity at or before t (within the TTL), transformed k -> j.
Version j itself is always active for its own view. No such row: null, never zeros.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feast_bc.activation import Instants, active_at
from feast_bc.source import BackwardCompatibleSource
from feast_bc.vectors import VECTOR_TYPE, Mask, from_matrix, to_matrix

NONE = -1
"""The winner's number where no version has a usable row."""

# Bounds the memory of one step: 64 Mi float32 are 256 MiB.
_FLOATS_PER_STEP = 2**26

Winners = npt.NDArray[np.int64]


def winners(
    source: BackwardCompatibleSource, instants: Instants, usable: Mapping[int, Mask]
) -> Winners:
    """Which version's native row gives each value.

    Args:
        source: the view's source.
        instants: shape `(n,)`, the time t of each row, in microseconds.
        usable: per version k >= j a mask of shape `(n,)`: a native row of k exists at or before
            t, within the TTL. Versions left out have none.

    Returns:
        int64 of shape `(n,)`: the winning version, or NONE.
    """
    winner = np.full(instants.shape, NONE, np.int64)
    for member in source.members:  # oldest first: a newer usable version overwrites
        if member.version in usable:
            wins = usable[member.version]
            if member.version != source.version:
                wins = wins & active_at(member.activations, instants)
            winner[wins] = member.version
    return winner


def values(
    source: BackwardCompatibleSource,
    winner: Winners,
    columns: Mapping[int, pa.ChunkedArray],
) -> pa.ChunkedArray:
    """The view's values, given the winning version of each row.

    Args:
        source: the view's source.
        winner: shape `(n,)`, from `winners`.
        columns: per version a list column of length `n` with its native vectors.

    Returns:
        A list<float32> column of length `n` in version j's space; null where nobody wins.

    Raises:
        DimensionError, InvalidVectorsError: a native vector is not what its version promises.
    """
    widest = max(member.dim for member in source.members)
    step = max(1, _FLOATS_PER_STEP // widest)
    chunks = [
        _values(
            source,
            winner[start : start + step],
            {k: column.slice(start, step) for k, column in columns.items()},
        )
        for start in range(0, len(winner), step)
    ]
    return pa.chunked_array(chunks, VECTOR_TYPE)


def _values(
    source: BackwardCompatibleSource, winner: Winners, columns: Mapping[int, pa.ChunkedArray]
) -> pa.Array:
    present = winner != NONE
    out = np.empty((int(present.sum()), source.dim), np.float32)
    place = np.cumsum(present) - 1
    for member in source.members:
        rows = winner == member.version
        if not rows.any():
            continue
        of = f"{source.embedding} version {member.version} ({member.source.name})"
        native, _ = to_matrix(columns[member.version].filter(pa.array(rows)), member.dim, of=of)
        if member.version != source.version:
            native = source.chain_from(member.version).apply(native)
        out[place[rows]] = native
    return from_matrix(out, present)
