"""Reading stored bytes from Feast's SQLite online store."""

from __future__ import annotations

from collections.abc import Iterator

from feast_bc.feast_internals import sqlite_connection, sqlite_table
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import Column, Request, Wanted, take

# Keys in one query; SQLite's oldest limit is 999 parameters.
_KEYS = 900
_LISTED = 20 * _KEYS


class SqliteReader(StoreReader):
    """Queries for many keys at once."""

    lists_entities = True

    def read(self, request: Request) -> list[Column]:
        keys = take(self.keys, request.positions)
        connection = sqlite_connection(self.store, self.config)
        columns: list[Column] = []
        for wanted in request.wanted:
            table = sqlite_table(self.config.project, self.name(wanted))
            query = (
                f"SELECT entity_key, value FROM {table} "  # noqa: S608
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

    def entities(self, wanted: Wanted) -> Iterator[list[bytes]]:
        connection = sqlite_connection(self.store, self.config)
        table = sqlite_table(self.config.project, self.name(wanted))
        query = (
            f"SELECT entity_key FROM {table} WHERE feature_name = ? "  # noqa: S608
            "AND entity_key > ? ORDER BY entity_key LIMIT ?"
        )
        last = b""
        # A cursor left open would keep others from writing.
        while rows := connection.execute(query, [self.feature(wanted), last, _LISTED]).fetchall():
            keys = [key for (key,) in rows]
            yield keys
            last = keys[-1]
