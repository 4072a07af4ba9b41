"""Reading stored bytes from Feast's SQLite online store."""

from __future__ import annotations

from feast_bc.online.reader import StoreReader
from feast_bc.online.reading import Column, Request, Wanted, take

# Keys in one query; SQLite's oldest limit is 999 parameters.
_KEYS = 900


class SqliteReader(StoreReader):
    """Queries for many keys at once."""

    def read(self, request: Request) -> list[Column]:
        keys = take(self.keys, request.positions)
        connection = self.store._get_conn(self.config)
        columns: list[Column] = []
        for wanted in request.wanted:
            query = (
                f"SELECT entity_key, value FROM {self._table(wanted)} "  # noqa: S608
                "WHERE feature_name = ? AND entity_key IN ({})"
            )
            found: dict[bytes, bytes | None] = {}
            for start in range(0, len(keys), _KEYS):
                some = keys[start : start + _KEYS]
                places = ",".join("?" * len(some))
                found.update(
                    connection.execute(query.format(places), [self.feature(wanted), *some])
                )
            columns.append([found.get(key) for key in keys])
        return columns

    async def read_async(self, request: Request) -> list[Column]:
        return self.read(request)  # the store is in this process

    def _table(self, wanted: Wanted) -> str:
        name = f"{self.config.project}_{self.name(wanted)}".replace('"', '""')
        return f'"{name}"'
