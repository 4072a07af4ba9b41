"""Reading stored bytes from Feast's PostgreSQL online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feast.repo_config import RepoConfig
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from feast_bc.feast_internals import (
    postgres_connection,
    postgres_connection_async,
    postgres_table,
)
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import Column, Request, Wanted, take

# Rows come in the order of the keys, a column per stored view. Joins would say the same, but
# PostgreSQL plans many of them slowly.
_SELECT = SQL(
    "SELECT {columns} FROM unnest(%(keys)b::bytea[]) WITH ORDINALITY AS wanted (key, place)"
    " ORDER BY place"
)
_COLUMN = SQL("(SELECT value FROM {table} WHERE entity_key = key AND feature_name = {feature})")
_ENTITIES = SQL(
    "SELECT entity_key FROM {table} WHERE feature_name = %(feature)s"
    " AND entity_key > %(last)b ORDER BY entity_key LIMIT %(count)s"
)
_LISTED = 2**14


class PostgresReader(StoreReader):
    """One query per request, whatever it wants."""

    lists_entities = True

    def read(self, request: Request) -> list[Column]:
        with (
            postgres_connection(self.store, self.config) as connection,
            connection.cursor(binary=True) as cursor,
        ):
            cursor.execute(self._query(request), self._parameters(request))
            return _columns(request, cursor.fetchall())

    async def read_async(self, request: Request) -> list[Column]:
        async with (
            postgres_connection_async(self.store, self.config) as connection,
            connection.cursor(binary=True) as cursor,
        ):
            await cursor.execute(self._query(request), self._parameters(request))
            return _columns(request, await cursor.fetchall())

    def entities(self, wanted: Wanted) -> Iterator[list[bytes]]:
        table = Identifier(postgres_table(self.config.project, self.name(wanted)))
        query, last = _ENTITIES.format(table=table), b""
        while True:
            with (
                postgres_connection(self.store, self.config) as connection,
                connection.cursor(binary=True) as cursor,
            ):
                found = {"feature": self.feature(wanted), "last": last, "count": _LISTED}
                keys = [bytes(key) for (key,) in cursor.execute(query, found).fetchall()]
            if not keys:
                return
            yield keys
            last = keys[-1]

    def _query(self, request: Request) -> Composed:
        columns = [
            _COLUMN.format(
                table=Identifier(postgres_table(self.config.project, self.name(wanted))),
                feature=Placeholder(f"feature_{i}"),
            )
            for i, wanted in enumerate(request.wanted)
        ]
        return _SELECT.format(columns=SQL(", ").join(columns))

    def _parameters(self, request: Request) -> dict[str, object]:
        features = {f"feature_{i}": self.feature(w) for i, w in enumerate(request.wanted)}
        return {"keys": list(take(self.keys, request.positions)), **features}


def _columns(request: Request, rows: Sequence[Sequence[Any]]) -> list[Column]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(request.wanted)


def has_vectors(config: RepoConfig) -> bool:
    """Whether the store has vectors as pgvector knows them, beside the values."""
    return bool(config.online_store.vector_enabled)
