"""Vectors and states <-> the bytes that Feast stores for them, whole columns at a time.

Feast stores a list of floats as a serialized `Value` proto with a packed `float_list_val`. For
vectors of one dimension D these bytes are a constant prefix (two tags and two lengths) and the D
little-endian float32 values. A null vector is an empty `Value`: no bytes at all. Bytes are stored
alike, as a `bytes_val`: a tag, a length, and they themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress

import numpy as np
from feast.protos.feast.types.Value_pb2 import FloatList
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.message import DecodeError

from feast_bc.columns.arrays import Bytes, Mask, Matrix
from feast_bc.errors import DimensionError, InvalidVectorsError

NULL = b""
"""What Feast stores for a null vector."""

_LITTLE_ENDIAN = np.dtype("<f4")


@lru_cache(maxsize=256)
def prefix(dim: int) -> bytes:
    """The bytes that precede the floats in every stored vector of dimension `dim`."""
    zeros: bytes = ValueProto(float_list_val=FloatList(val=[0.0] * dim)).SerializeToString()
    return zeros[: len(zeros) - _LITTLE_ENDIAN.itemsize * dim]


@lru_cache(maxsize=256)
def _bytes_prefix(width: int) -> bytes:
    zeros: bytes = ValueProto(bytes_val=bytes(width)).SerializeToString()
    return zeros[: len(zeros) - width]


@lru_cache(maxsize=256)
def _layout(dim: int) -> np.dtype[np.void]:
    """A stored vector as a record: its prefix and its floats."""
    return np.dtype([("prefix", f"V{len(prefix(dim))}"), ("vector", _LITTLE_ENDIAN, (dim,))])


def head_and_body(rows: Matrix | Bytes) -> tuple[bytes, Bytes]:
    """What precedes every stored value of a column, and what follows, one row each.

    Args:
        rows: vectors, float32 of shape `(n, dim)`; or bytes, uint8 of shape `(n, width)`.
    """
    if rows.dtype == np.uint8:
        return _bytes_prefix(rows.shape[1]), np.ascontiguousarray(rows, np.uint8)
    return prefix(rows.shape[1]), np.ascontiguousarray(rows, _LITTLE_ENDIAN).view(np.uint8)


def encode(rows: Matrix | Bytes, present: Mask | None = None) -> list[bytes]:
    """Vectors or bytes as Feast stores them.

    Args:
        rows: float32 of shape `(m, dim)`, or uint8 of shape `(m, width)`.
        present: bool mask of shape `(n,)` with `m` true entries: value i is null where it is
            false. None means that all are present.

    Returns:
        `n` serialized `Value` protos (`m` without a mask), byte for byte what Feast writes.

    Raises:
        DimensionError: the mask selects another number of vectors than the matrix has.
    """
    head, body = head_and_body(rows)
    records = np.empty((len(rows), len(head) + body.shape[1]), np.uint8)
    records[:, : len(head)] = np.frombuffer(head, np.uint8)
    records[:, len(head) :] = body
    values: list[bytes] = records.view(f"V{records.shape[1]}").ravel().tolist()
    if present is None:
        return values
    if np.count_nonzero(present) != len(rows):
        raise DimensionError(
            f"{np.count_nonzero(present)} values are marked as present, but there are "
            f"{len(rows)} vectors; pass one vector for each present value."
        )
    vectors = iter(values)
    return [next(vectors) if there else NULL for there in present.tolist()]


def decode_bytes(values: Sequence[bytes | None], width: int) -> Bytes:
    """Read stored bytes as one matrix.

    Args:
        values: `n` serialized `Value` protos with bytes; None and empty protos hold none.
        width: how many bytes a row has at least.

    Returns:
        uint8 of shape `(n, width)` or wider: as wide as the longest. Shorter rows end in zeros.
        It may be read-only.

    Raises:
        InvalidVectorsError: not a serialized `Value` with bytes.
    """
    head = _bytes_prefix(width)
    usual = len(head) + width
    alike = [v for v in values if v and len(v) == usual and v.startswith(head)]
    if len(alike) == len(values):
        stored = np.frombuffer(b"".join(alike), np.uint8)
        return stored.reshape(len(values), usual)[:, len(head) :]
    if not any(values):
        return np.zeros((len(values), width), np.uint8)
    parsed = [_parse_bytes(value) for value in values]
    width = max(width, *map(len, parsed))
    padded = b"".join([each.ljust(width, b"\0") for each in parsed])
    return np.frombuffer(padded, np.uint8).reshape(len(values), width)


def _parse_bytes(value: bytes | None) -> bytes:
    try:
        stored: bytes = ValueProto.FromString(value or NULL).bytes_val
    except DecodeError as error:
        raise InvalidVectorsError(
            f"The online store holds {len(value or NULL)} bytes that are not a Feast value "
            f"({error}). Materialize the embedding's views again."
        ) from error
    return stored


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
