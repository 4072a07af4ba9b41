"""Rows of a PostgreSQL query as record batches, without a Python object per float.

A server-side cursor hands out binary values. Columns of the usual types are taken as bytes and
decoded as a whole; vectors of one dimension are the rows of one numpy array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from feast_bc.columns.arrays import Mask
from feast_bc.errors import InvalidVectorsError
from feast_bc.feast_internals import offline_query, postgres_offline_connection

# Bounds what the driver holds: 4,096 vectors of 768 floats are 25 MiB on the wire.
_FETCH_ROWS = 2**12

# PostgreSQL counts from 2000-01-01, in microseconds too; its infinity is the largest number.
_EPOCH = 946_684_800_000_000

Values = Sequence["bytes | None"]
"""A column's binary values."""


class _Bytes(Loader):
    """Leaves a value as it is on the wire."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def postgres_batches(
    job: RetrievalJob, config: RepoConfig, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a PostgreSQL store's job, with the types that Feast gives them.

    A query with a column of another type than `_DECODERS` knows is read by Feast, as a table.

    Args:
        job: Feast's job.
        config: the feature repo's configuration.
        batch_rows: how many rows a batch has at most.
    """
    with (
        offline_query(job) as query,
        postgres_offline_connection(config) as connection,
        connection.cursor(name="feast_bc", binary=True) as cursor,
    ):
        connection.read_only = True
        # Timestamps without a zone are UTC, whatever the server's zone is.
        connection.execute("SET LOCAL TIME ZONE 'UTC'")
        connection.execute("SET LOCAL client_encoding TO 'UTF8'")
        # All rows are read, not the first ones.
        connection.execute("SET LOCAL cursor_tuple_fraction TO 1")
        for oid in _DECODERS:
            cursor.adapters.register_loader(oid, _Bytes)
        cursor.execute(query)
        columns = [(column.name, column.type_code) for column in cursor.description or ()]
        if all(oid in _DECODERS for _, oid in columns):
            rows = cursor.fetchmany(min(batch_rows, _FETCH_ROWS))
            while True:
                yield _batch(columns, rows)
                rows = cursor.fetchmany(min(batch_rows, _FETCH_ROWS))
                if not rows:
                    return
    yield from job.to_arrow().to_batches(max_chunksize=batch_rows)


def _batch(columns: Sequence[tuple[str, int]], rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    values: Sequence[Values] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [_DECODERS[oid](column) for (_, oid), column in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, [name for name, _ in columns])


def _numbers(wire: str, type_: pa.DataType) -> Callable[[Values], pa.Array]:
    """A decoder of values of one width."""
    dtype = np.dtype(wire)

    def decode(values: Values) -> pa.Array:
        absent = np.array([value is None for value in values], bool)
        nothing = bytes(dtype.itemsize)
        joined = b"".join([nothing if value is None else value for value in values])
        numbers = np.frombuffer(joined, dtype).astype(dtype.newbyteorder("="))
        return pa.array(numbers, mask=absent if absent.any() else None).cast(type_)

    return decode


def _instants(values: Values) -> pa.Array:
    since_2000 = _numbers(">i8", pa.int64())(values)
    numbers = np.asarray(since_2000.fill_null(0))
    numbers = np.minimum(numbers, np.iinfo(np.int64).max - _EPOCH) + _EPOCH
    absent = np.asarray(since_2000.is_null())
    return pa.array(numbers, pa.timestamp("us"), mask=absent if absent.any() else None)


def _bytes(values: Values) -> pa.Array:
    return pa.array(values, pa.binary())


def _text(values: Values) -> pa.Array:
    return pa.array(values, pa.binary()).cast(pa.string())


def _lists(wire: str, type_: pa.DataType) -> Callable[[Values], pa.Array]:
    """A decoder of one-dimensional arrays.

    On the wire: the number of dimensions, whether there are nulls, the type of the elements, the
    length, the lower bound, four bytes each; then each element with its size.
    """
    element = np.dtype([("size", ">i4"), ("value", wire)])
    width = element["value"].itemsize

    def decode_alike(values: Sequence[bytes]) -> np.ndarray | None:
        """The rows of a matrix, if all arrays have one length and no nulls."""
        size = len(values[0])
        length, rest = divmod(size - 20, element.itemsize)
        if rest or length < 1 or any(len(value) != size for value in values):
            return None
        wires = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), size)
        heads = np.ascontiguousarray(wires[:, :16]).view(">i4")
        elements = np.ascontiguousarray(wires[:, 20:]).view(element)
        plain = (heads[:, 0] == 1) & (heads[:, 1] == 0) & (heads[:, 3] == length)
        if not plain.all() or not (elements["size"] == width).all():
            return None
        matrix: np.ndarray = elements["value"].astype(np.dtype(wire).newbyteorder("="))
        return matrix

    def decode_one(value: bytes | None) -> list[Any] | None:
        if value is None:
            return None
        matrix = decode_alike([value])
        if matrix is not None:
            found: list[Any] = matrix[0].tolist()
            return found
        dimensions = int.from_bytes(value[:4], "big")
        if dimensions > 1:
            raise InvalidVectorsError(
                f"An array of {dimensions} dimensions is no vector; expected 1. Check the column."
            )
        elements, at = [], 12 + 8 * dimensions
        while at < len(value):
            size = int.from_bytes(value[at : at + 4], "big", signed=True)
            at += 4
            elements.append(
                None if size < 0 else np.frombuffer(value[at : at + size], wire)[0].item()
            )
            at += max(size, 0)
        return elements

    def decode(values: Values) -> pa.Array:
        present: Mask = np.array([value is not None for value in values], bool)
        alike = [value for value in values if value is not None]
        matrix = decode_alike(alike) if alike else None
        if matrix is None:
            return pa.array([decode_one(value) for value in values], pa.list_(type_))
        lengths = np.where(present, matrix.shape[1], 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        numbers = pa.array(matrix.reshape(-1)).cast(type_)
        mask = None if present.all() else pa.array(~present)
        return pa.ListArray.from_arrays(pa.array(offsets), numbers, mask=mask)

    return decode


_DECODERS: dict[int, Callable[[Values], pa.Array]] = {
    16: _numbers("u1", pa.bool_()),
    17: _bytes,
    20: _numbers(">i8", pa.int64()),
    21: _numbers(">i2", pa.int32()),
    23: _numbers(">i4", pa.int32()),
    25: _text,
    700: _numbers(">f4", pa.float32()),
    701: _numbers(">f8", pa.float64()),
    1005: _lists(">i2", pa.int32()),
    1007: _lists(">i4", pa.int32()),
    1016: _lists(">i8", pa.int64()),
    1021: _lists(">f4", pa.float32()),
    1022: _lists(">f8", pa.float64()),
    1042: _text,
    1043: _text,
    1114: _instants,
    1184: _instants,
}
"""By the number of a type: boolean, bytea, bigint, smallint, integer, text, real, double precision,
their arrays, character, character varying, timestamp and timestamptz."""
