"""A view's vectors, given which version's native row gives each of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import Matrix, RowNumbers
from feast_bc.columns.vectors import VECTOR_TYPE, from_matrix
from feast_bc.native.joined_rows import JoinedRows
from feast_bc.rule import NONE, Winners
from feast_bc.views.source import BackwardCompatibleSource

# Bounds the memory of one step: 64 Mi float32 are 256 MiB.
_FLOATS_PER_STEP = 2**26


def values(
    source: BackwardCompatibleSource,
    winner: Winners,
    columns: Mapping[int, pa.ChunkedArray],
) -> pa.ChunkedArray:
    """The view's values, given the winning version of each row.

    Args:
        source: the view's source.
        winner: shape `(n,)`, from `feast_bc.rule.Plan.winners`.
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
        winner: shape `(n,)`, from `feast_bc.rule.Plan.winners`.
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
