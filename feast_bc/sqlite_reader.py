"""Reading stored bytes from Feast's SQLite online store."""

from __future__ import annotations

from feast_bc.reading import Column, Request, Wanted, take
from feast_bc.store_reader import StoreReader

# Keys in one query; SQLite's default limit is 32,766 parameters.
_KEYS = 10_000


class SqliteReader(StoreReader):
    """One query over the tables of all wanted views."""

    def read(self, request: Request) -> list[Column]:
        keys = take(self.keys, request.positions)
        found: list[dict[bytes, bytes | None]] = [{} for _ in request.wanted]
        connection = self.store._get_conn(self.config)
        features = [self.feature(wanted) for wanted in request.wanted]
        for start in range(0, len(keys), _KEYS):
            some = keys[start : start + _KEYS]
            # Numbered parameters: every table is asked for the same keys.
            first = len(features) + 1
            places = ",".join(f"?{i}" for i in range(first, len(some) + first))
            query = " UNION ALL ".join(
                f"SELECT {i}, entity_key, value FROM {self._table(wanted)} "  # noqa: S608
                f"WHERE feature_name = ?{i + 1} AND entity_key IN ({places})"
                for i, wanted in enumerate(request.wanted)
            )
            for i, key, value in connection.execute(query, [*features, *some]):
                found[i][key] = value
        return [[rows.get(key) for key in keys] for rows in found]

    async def read_async(self, request: Request) -> list[Column]:
        return self.read(request)  # the store is in this process

    def _table(self, wanted: Wanted) -> str:
        name = f"{self.config.project}_{self.name(wanted)}".replace('"', '""')
        return f'"{name}"'
