"""Reading columns of vectors from Feast's SQLite online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from feast_bc.activation import NEVER, Instants, to_micros
from feast_bc.store_reader import StoreReader
from feast_bc.stored_rows import Request, StoredRows, Wanted, take

# Keys in one query; SQLite's default limit is 32,766 parameters.
_KEYS = 10_000


class SqliteReader(StoreReader):
    """One query over the tables of all wanted views."""

    def read(self, request: Request) -> list[StoredRows]:
        keys = take(self.keys, request.positions)
        found: list[dict[bytes, tuple[int, bytes | None]]] = [{} for _ in request.wanted]
        connection = self.store._get_conn(self.config)
        for start in range(0, len(keys), _KEYS):
            some = keys[start : start + _KEYS]
            # Numbered parameters: every table is asked for the same keys.
            places = ",".join(f"?{i}" for i in range(2, len(some) + 2))
            query = " UNION ALL ".join(
                f"SELECT {i}, entity_key, {'value' if wanted.value else 'NULL'}, "  # noqa: S608
                f"CAST(event_ts AS INTEGER) FROM {self._table(wanted)} "
                f"WHERE feature_name = ?1 AND entity_key IN ({places})"
                for i, wanted in enumerate(request.wanted)
            )
            for i, key, value, stamp in connection.execute(query, [self.feature, *some]):
                found[i][key] = (stamp, value)
        return [self._aligned(rows, keys) for rows in found]

    async def read_async(self, request: Request) -> list[StoredRows]:
        return self.read(request)  # the store is in this process

    def _aligned(
        self, found: dict[bytes, tuple[int, bytes | None]], keys: Sequence[bytes]
    ) -> StoredRows:
        rows = [found.get(key) for key in keys]
        return StoredRows(
            [None if row is None else row[1] for row in rows],
            lambda: _instants([None if row is None else row[0] for row in rows]),
        )

    def _table(self, wanted: Wanted) -> str:
        name = f"{self.config.project}_{self.name(wanted)}".replace('"', '""')
        return f'"{name}"'


def _instants(stamps: Sequence[int | None]) -> Instants:
    """Stored timestamps in microseconds; many rows share one.

    Feast writes UTC without a time zone, and Python's adapter takes that for local time.
    """
    micros = {
        s: NEVER if s is None else to_micros(datetime.fromtimestamp(s).replace(tzinfo=timezone.utc))  # noqa: DTZ006
        for s in set(stamps)
    }
    return np.array([micros[stamp] for stamp in stamps], np.int64)
