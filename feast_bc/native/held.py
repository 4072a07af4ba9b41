"""What a source holds now of what it held when its version was published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from feast_bc.columns.instants import to_micros
from feast_bc.columns.vectors import as_lists
from feast_bc.native.contents import Contents, vector_digest


@dataclass(frozen=True)
class Held:
    """What a source holds now.

    Attributes:
        rows: the number of rows.
        newest: the newest event timestamp in microseconds; NEVER where there is none.
        key_kinds: per join key what `key_kind` says of its column; None where nobody looked.
        vectors: per row of the sample the digests of the vectors that rows of these keys and this
            instant have, none where there is no such row; None where nobody looked.
    """

    rows: int
    newest: int
    key_kinds: tuple[str, ...] | None = None
    vectors: tuple[frozenset[str], ...] | None = None


def sample_numbers(
    contents: Contents, keys: Iterable[tuple[str, ...]], instants: Iterable[int]
) -> list[int | None]:
    """Per row which row of the sample has its keys and its instant; None for none.

    Args:
        contents: has the sample.
        keys: the join keys of each row, as text.
        instants: event timestamps in microseconds.
    """
    known: Mapping[tuple[tuple[str, ...], int], int] = {
        (row.keys, to_micros(row.at)): number for number, row in enumerate(contents.sample)
    }
    return [known.get((tuple(key), at)) for key, at in zip(keys, instants, strict=True)]


def column_digests(column: pa.Array | pa.ChunkedArray, *, of: str) -> list[str]:
    """The `vector_digest` of each vector of a column; empty for a null.

    Args:
        column: vectors.
        of: what it is, for error messages.

    Raises:
        InvalidVectorsError: they are no lists of floats.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_null(array.type):
        return [""] * len(array)
    lists = as_lists(array, of=of)
    return [
        vector_digest(np.asarray(each.values, np.float32)) if each.is_valid else ""
        for each in lists
    ]
