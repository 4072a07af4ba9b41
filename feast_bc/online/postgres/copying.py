"""Rows in the format of PostgreSQL's binary COPY, packed without a Python object per value.

Rows whose keys and values have the same lengths are the rows of one numpy record array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feast_bc.columns.arrays import Bytes, Instants, Matrix, RowNumbers
from feast_bc.columns.encoding import head_and_body

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# PostgreSQL counts from 2000-01-01, in microseconds too.
_EPOCH = 946_684_800_000_000

Alike = tuple[RowNumbers, Bytes]
"""Which of the entities have keys of one length, and these keys, one a row, in ascending order."""


def by_length(keys: Sequence[bytes]) -> list[Alike]:
    """The entities, grouped by the lengths of their keys."""
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    groups = []
    for length in np.unique(lengths).tolist():
        entities = np.flatnonzero(lengths == length)
        joined = b"".join([keys[i] for i in entities.tolist()])
        rows = np.frombuffer(joined, np.uint8).reshape(len(entities), length)
        order = np.argsort(rows.view(f"V{length}").ravel())
        groups.append((entities[order], rows[order]))
    return groups


def pack(number: int, keys: Bytes, instants: Instants, stored: Matrix | Bytes | None) -> bytes:
    """Rows of (smallint, bytea, bytea, timestamp): a view's number, keys, values and instants.

    Args:
        number: the view's.
        keys: uint8 of shape `(m, length)`.
        instants: shape `(m,)`, in microseconds since 1970.
        stored: vectors of shape `(m, dim)`, bytes of shape `(m, width)`, or None: all are null.
    """
    nothing = np.empty((len(keys), 0), np.uint8)
    head, body = (b"", nothing) if stored is None else head_and_body(stored)
    layout = np.dtype(
        [
            ("fields", ">i2"),
            ("number_size", ">i4"),
            ("number", ">i2"),
            ("key_size", ">i4"),
            ("key", np.uint8, (keys.shape[1],)),
            ("value_size", ">i4"),
            ("head", np.uint8, (len(head),)),
            ("body", np.uint8, (body.shape[1],)),
            ("instant_size", ">i4"),
            ("instant", ">i8"),
        ]
    )
    rows = np.empty(len(keys), layout)
    rows["fields"] = 4
    rows["number_size"], rows["number"] = 2, number
    rows["key_size"], rows["key"] = keys.shape[1], keys
    rows["value_size"] = len(head) + body.shape[1]
    rows["head"], rows["body"] = np.frombuffer(head, np.uint8), body
    rows["instant_size"], rows["instant"] = 8, instants - _EPOCH
    return rows.tobytes()
