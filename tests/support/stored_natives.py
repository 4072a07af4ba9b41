"""What an online store holds for views that are served on read; the bytes are made by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from feast.protos.feast.types.Value_pb2 import FloatList, Value

from feast_bc.online.request import Column, Request
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import Row, at

ROW, VECTOR = 1, 2
"""Flags of an entry: the version has a row; the row has a vector."""


class Stored:
    """Native rows as an online store has them: each version's newest per entity, and the states.

    The bytes are made here, by hand.
    """

    def __init__(
        self, source: BackwardCompatibleSource, rows: Sequence[Row], asked: Sequence[int]
    ) -> None:
        self.digests = source.digests
        self.asked = asked
        self.newest = {(r.version, r.entity): r for r in sorted(rows, key=lambda row: row.hour)}
        self.requests: list[Request] = []

    def read(self, request: Request) -> list[Column]:
        self.requests.append(request)
        positions = range(len(self.asked)) if request.positions is None else request.positions
        asked = [self.asked[i] for i in positions]
        return [
            [self._state(entity) for entity in asked]
            if wanted.what == "states"
            else [self._native(wanted.version, entity) for entity in asked]
            for wanted in request.wanted
        ]

    def _native(self, version: int, entity: int) -> bytes | None:
        row = self.newest.get((version, entity))
        if row is None:
            return None
        value = Value() if row.vector is None else Value(float_list_val=FloatList(val=row.vector))
        return bytes(value.SerializeToString())

    def _state(self, entity: int) -> bytes | None:
        if not any(entity == known for _, known in self.newest):
            return None
        entries = [self._entry(version, entity) for version in range(len(self.digests))]
        return bytes(Value(bytes_val=b"".join(entries)).SerializeToString())

    def _entry(self, version: int, entity: int) -> bytes:
        """16 bytes: digest, instant, which version gave the value (none), flags, padding."""
        row = self.newest.get((version, entity))
        if row is None:
            return bytes(16)
        flags = ROW if row.vector is None else ROW | VECTOR
        return struct.pack("<IqHBx", self.digests[version], micros(row.hour), 0, flags)


def micros(hour: float) -> int:
    """Microseconds since the epoch."""
    return (at(hour) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
