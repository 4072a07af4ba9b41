"""How fast the online stores alone can write: ready bytes, without Feast."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing

import numpy as np
from feast.protos.feast.types.Value_pb2 import FloatList, Value

from benchmarks.workload import Workload

_PIPELINE = 500
_DIGITS = 10
_TABLE = """
CREATE TABLE {name} (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT,
vector_value BLOB, event_ts timestamp, created_ts timestamp,
PRIMARY KEY(entity_key, feature_name))
"""


def stored_size(dim: int) -> int:
    """Bytes of a vector as Feast stores it."""
    return len(Value(float_list_val=FloatList(val=[1.0] * dim)).SerializeToString())


def redis_floor(work: Workload, address: str) -> Callable[[], None]:
    """Send one HSET of a field per version and entity, in pipelines over one socket."""
    value = bytes(stored_size(work.dim))
    parts = [b"HSET", b"entity:" + b"0" * _DIGITS]
    for version in range(work.versions):
        parts += [b"f%03d" % version, value]
    head = b"*%d\r\n" % len(parts)
    command = head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    at = command.index(b"entity:") + len(b"entity:")
    pipeline = np.tile(np.frombuffer(command, np.uint8), (_PIPELINE, 1))
    powers = 10 ** np.arange(_DIGITS - 1, -1, -1)
    host, port = address.split(":")
    reply = b":%d\r\n" % work.versions

    def send() -> None:
        with socket.create_connection((host, int(port))) as connection:
            for start in range(0, work.entities, _PIPELINE):
                ids = np.arange(start, min(start + _PIPELINE, work.entities))
                pipeline[: len(ids), at : at + _DIGITS] = ids[:, None] // powers % 10 + ord("0")
                connection.sendall(pipeline[: len(ids)].tobytes())
                answer = b""
                while len(answer) < len(ids) * len(reply):
                    answer += connection.recv(1 << 16)
                if answer != reply * len(ids):
                    raise RuntimeError(f"Redis refused a write: {answer[:200]!r}")

    return send


def sqlite_floor(work: Workload) -> Callable[[], None]:
    """Insert one row per version and entity into tables of Feast's schema, in key order."""
    value = bytes(stored_size(work.dim))
    path = work.folder / "floor.db"

    def insert() -> None:
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for version in range(work.versions):
                name = f"view_{version}"
                connection.execute(_TABLE.format(name=name))
                connection.execute(f"CREATE INDEX {name}_ek ON {name} (entity_key)")
                with connection:
                    connection.executemany(
                        f"INSERT INTO {name} (entity_key, feature_name, value, event_ts) "  # noqa: S608
                        "VALUES (?, 'embedding', ?, 1767225600)",
                        ((b"entity:%032d" % i, value) for i in range(work.entities)),
                    )

    return insert
