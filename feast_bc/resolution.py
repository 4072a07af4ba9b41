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
from feast_bc.joined_rows import JoinedRows, RowNumbers
from feast_bc.source import BackwardCompatibleSource
from feast_bc.vectors import VECTOR_TYPE, Mask, Matrix, from_matrix
from feast_bc.versions import EmbeddingVersion

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
            winner[usable[member.version] & counting(source, member, instants)] = member.version
    return winner


def counting(
    source: BackwardCompatibleSource, member: EmbeddingVersion, instants: Instants
) -> Mask:
    """At which instants a version may give the view's value: j always, k > j while active."""
    if member.version == source.version:
        return np.ones(instants.shape, bool)
    return active_at(member.activations, instants)


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
    natives = {}
    for member in source.members:
        wins = winner == member.version
        if wins.any():
            of = describe(source.embedding, member)
            natives[member.version] = JoinedRows.of_column(columns[member.version], member.dim, of)
            natives[member.version].load(wins)
    return view_values(source, winner, natives).combine_chunks()


def view_values(
    source: BackwardCompatibleSource, winner: Winners, natives: Mapping[int, JoinedRows]
) -> pa.ChunkedArray:
    """A view's values, each distinct native row transformed once.

    Args:
        source: the view's source.
        winner: shape `(n,)`, from `winners`.
        natives: per version its native rows, loaded for the joined rows it wins.

    Returns:
        A list<float32> column of length `n` in version j's space; null where nobody wins.
    """
    found: list[tuple[int, Matrix]] = []
    place = np.zeros(len(winner), np.int64)
    for member in source.members:
        wins = winner == member.version
        if wins.any():
            matrix, place[wins] = natives[member.version].vectors(wins)
            if member.version != source.version:
                matrix = source.chain_from(member.version).apply(matrix)
            found.append((member.version, matrix))
    step = max(1, _FLOATS_PER_STEP // source.dim)
    chunks = [
        _gathered(winner[start : start + step], place[start : start + step], found, source.dim)
        for start in range(0, len(winner), step)
    ]
    return pa.chunked_array(chunks, VECTOR_TYPE)


def _gathered(
    winner: Winners, place: RowNumbers, found: list[tuple[int, Matrix]], dim: int
) -> pa.Array:
    present = winner != NONE
    winner, place = winner[present], place[present]
    out = np.empty((len(winner), dim), np.float32)
    for version, matrix in found:
        wins = winner == version
        if wins.all():
            np.take(matrix, place, axis=0, out=out, mode="clip")  # without "clip" it buffers
        else:
            out[wins] = matrix[place[wins]]
    return from_matrix(out, present)


def describe(embedding: str, member: EmbeddingVersion) -> str:
    """What a member's native vectors are, for error messages."""
    return f"{embedding} version {member.version} ({member.source.name})"
