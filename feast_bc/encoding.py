"""Vectors <-> the bytes that Feast stores for them, whole columns at a time.

Feast stores a list of floats as a serialized `Value` proto with a packed `float_list_val`. For
vectors of one dimension D these bytes are a constant prefix (two tags and two lengths) and the D
little-endian float32 values. A null vector is an empty `Value`: no bytes at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress

import numpy as np
from feast.protos.feast.types.Value_pb2 import FloatList
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.message import DecodeError

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.vectors import Mask, Matrix

NULL = b""
"""What Feast stores for a null vector."""

LITTLE_ENDIAN = np.dtype("<f4")
"""How the floats of a stored vector are written."""


@lru_cache(maxsize=256)
def prefix(dim: int) -> bytes:
    """The bytes that precede the floats in every stored vector of dimension `dim`."""
    zeros: bytes = ValueProto(float_list_val=FloatList(val=[0.0] * dim)).SerializeToString()
    return zeros[: len(zeros) - LITTLE_ENDIAN.itemsize * dim]


@lru_cache(maxsize=256)
def _layout(dim: int) -> np.dtype[np.void]:
    """A stored vector as a record: its prefix and its floats."""
    return np.dtype([("prefix", f"V{len(prefix(dim))}"), ("vector", LITTLE_ENDIAN, (dim,))])


def encode(matrix: Matrix, present: Mask | None = None) -> list[bytes]:
    """Vectors as Feast stores them.

    Args:
        matrix: float32 of shape `(m, dim)`.
        present: bool mask of shape `(n,)` with `m` true entries: value i is null where it is
            false. None means that all are present.

    Returns:
        `n` serialized `Value` protos (`m` without a mask), byte for byte what Feast writes.

    Raises:
        DimensionError: the mask selects another number of vectors than the matrix has.
    """
    layout = _layout(matrix.shape[1])
    records = np.empty(len(matrix), layout)
    records["prefix"] = prefix(matrix.shape[1])
    records["vector"] = matrix
    values: list[bytes] = records.view(f"V{layout.itemsize}").tolist()
    if present is None:
        return values
    if np.count_nonzero(present) != len(matrix):
        raise DimensionError(
            f"{np.count_nonzero(present)} values are marked as present, but there are "
            f"{len(matrix)} vectors; pass one vector for each present value."
        )
    vectors = iter(values)
    return [next(vectors) if there else NULL for there in present.tolist()]


def decode(values: Sequence[bytes | None], dim: int, *, of: str = "column") -> tuple[Matrix, Mask]:
    """Read stored vectors as one float32 matrix.

    Args:
        values: `n` serialized `Value` protos; None and empty protos are null.
        dim: the dimension that every vector must have.
        of: what the column is, for error messages ("user_embedding_v0:embedding").

    Returns:
        `(matrix, present)`: float32 of shape `(n, dim)`, zero where there is no vector, and a
        bool mask of shape `(n,)`.

    Raises:
        DimensionError: a vector of another dimension.
        InvalidVectorsError: not a serialized `Value`, or one that holds no list of floats.
    """
    head, layout = prefix(dim), _layout(dim)
    width = layout.itemsize
    usual = [v is not None and len(v) == width and v.startswith(head) for v in values]
    stored = b"".join([v for v in compress(values, usual) if v])
    vectors = np.frombuffer(stored, layout)["vector"].astype(np.float32)
    present = np.array(usual, bool)
    if len(vectors) == len(values):
        return vectors, present
    matrix = np.zeros((len(values), dim), np.float32)
    matrix[present] = vectors
    for i in np.flatnonzero(~present).tolist():
        vector = _parse(values[i], dim, of=f"{of}, row {i}")
        if vector is not None:
            matrix[i] = vector
            present[i] = True
    return matrix, present


def _parse(value: bytes | None, dim: int, *, of: str) -> Sequence[float] | None:
    """A vector whose bytes are not the usual ones: null, encoded differently, or wrong."""
    if not value:
        return None
    try:
        proto = ValueProto.FromString(value)
    except DecodeError as error:
        raise InvalidVectorsError(
            f"{of}: {len(value)} stored bytes are not a Feast value ({error}). Materialize the "
            "view again."
        ) from error
    kind = proto.WhichOneof("val")
    if kind in (None, "null_val"):
        return None
    if kind != "float_list_val":
        raise InvalidVectorsError(
            f"{of}: expected a float_list_val, found a {kind}; the feature is not a vector of "
            "float32. Ask for a version view's vector feature."
        )
    vector: Sequence[float] = proto.float_list_val.val
    if len(vector) != dim:
        raise DimensionError(
            f"{of}: expected a vector of dimension {dim}, found {len(vector)}. Materialize the "
            "view again, or check which version wrote it."
        )
    return vector
