"""Arrow list columns of vectors <-> float32 matrices, whole columns at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.columns.json_lists import is_text, parse_lists
from feast_bc.errors import DimensionError, InvalidVectorsError

VECTOR_TYPE = pa.list_(pa.float32())


def to_matrix(
    column: pa.Array | pa.ChunkedArray, dim: int, *, of: str = "column"
) -> tuple[Matrix, Mask]:
    """Read a list column of vectors as one float32 matrix.

    Args:
        column: `n` vectors; list, large list or fixed-size list of float16, float32 or
            float64, or such lists as JSON text. Null entries are allowed; a column of Arrow type
            null is all null.
        dim: the dimension that every vector must have.
        of: what the column is, for error messages ("user_embedding version 2, ...").

    Returns:
        `(matrix, present)`: float32 of shape `(present.sum(), dim)` with the vectors that are
        not null, in order (a view of the column's buffer where it is float32 already), and a
        bool mask of shape `(n,)`.

    Raises:
        InvalidVectorsError: not a list of floats, a null inside a vector, NaN or infinity.
        DimensionError: a vector of another dimension.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps several chunks past 2 GiB
        parts = [to_matrix(chunk, dim, of=of) for chunk in array.chunks]
        return np.concatenate([m for m, _ in parts]), np.concatenate([p for _, p in parts])
    if pa.types.is_null(array.type):
        return np.empty((0, dim), np.float32), np.zeros(len(array), bool)
    array = as_lists(array, of=of)
    present = np.asarray(array.is_valid())
    dense = array if present.all() else array.drop_null()
    _check_dimension(dense, dim, of=of)
    flat = dense.flatten()
    if flat.null_count:
        raise InvalidVectorsError(
            f"{of}: {flat.null_count} null element(s) inside vectors; expected {dim} floats in "
            "each vector. Drop those rows or make the whole vector null."
        )
    values = np.asarray(flat).astype(np.float32, copy=False).reshape(-1, dim)
    _check_finite(values, of=of)
    return values, present


def from_matrix(matrix: Matrix, present: Mask | None = None) -> pa.Array:
    """Write a float32 matrix as a list column.

    Args:
        matrix: float32 of shape `(m, dim)`.
        present: bool mask of shape `(n,)` with `m` true entries: row i of the column is null
            where it is false. None means that all rows are present.

    Returns:
        A list<float32> array of length `n` (`m` without a mask).
    """
    count, dim = matrix.shape
    lengths = np.full(count, dim, np.int64) if present is None else np.where(present, dim, 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise DimensionError(
            f"{count} vectors of {dim} floats do not fit one Arrow list array "
            f"({np.iinfo(np.int32).max} floats at most); process the rows in batches."
        )
    values = pa.array(np.ascontiguousarray(matrix, np.float32).reshape(-1))
    mask = None if present is None or present.all() else pa.array(~present)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask)


def as_lists(array: pa.Array, *, of: str) -> pa.Array:
    """Vectors as a list column, if they are JSON text.

    Raises:
        InvalidVectorsError: not lists of floats.
    """
    if is_text(array.type):
        return parse_lists(array, of=of)
    _check_vector_type(array.type, of=of)
    return array


def _check_vector_type(type_: pa.DataType, *, of: str) -> None:
    is_list = (
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )
    if not is_list or not pa.types.is_floating(type_.value_type):
        raise InvalidVectorsError(
            f"{of} has Arrow type {type_}; expected a list of float32. Cast the vectors to "
            "float32 before publishing them."
        )


def _check_dimension(dense: pa.Array, dim: int, *, of: str) -> None:
    if pa.types.is_fixed_size_list(dense.type):
        lengths = np.array([dense.type.list_size] if len(dense) else [], np.int64)
    else:
        lengths = np.diff(np.asarray(dense.offsets))
    wrong = lengths != dim
    if wrong.any():
        found = sorted(set(lengths[wrong].tolist()))
        raise DimensionError(
            f"{of}: expected vectors of dimension {dim}, found "
            f"{', '.join(map(str, found[:5]))} (first at non-null row {int(wrong.argmax())}). "
            "Check that the source holds the vectors of this version."
        )


def _check_finite(values: Matrix, *, of: str) -> None:
    # The sum of squares, at the speed of memory, is finite only if every element is. It overflows
    # from elements of about 1e19 on: only then look at every element.
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.dot(flat, flat)):
            return
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise InvalidVectorsError(
            f"{of}: {int(bad.sum())} vector(s) hold NaN or infinity (first at non-null row "
            f"{int(bad.argmax())}); expected finite floats. Repair or drop those rows."
        )
