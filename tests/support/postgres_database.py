"""PostgreSQL online stores of plain views."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
from feast import Entity, FeatureView, Field, FileSource, RepoConfig
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.types import Array, Bytes, Float32, Int64, String
from feast.value_type import ValueType

from benchmarks.postgres_server import connect
from tests.support.online_stores import close_connections

COUNT = 40
POOL: dict[str, object] = {"conn_type": "pool", "min_conn": 1, "max_conn": 2}
NOW = 1_767_225_600_000_000
"""2026-01-01, in microseconds."""

ENTITIES = [
    Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.STRING),
    Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64),
]
KEYS = pa.table({"user_id": [f"{'ü' * (i % 3)}{i}" for i in range(COUNT)], "shop": range(COUNT)})
FEATURES = {"v1": Float32, 'odd "v0"': Float32, "state": None, "all null": Float32}

Rows = list[tuple[Any, ...]]


def views() -> list[FeatureView]:
    """Three views of vectors and one of bytes, over a text and a number as join keys."""
    return [
        FeatureView(
            name=name,
            entities=ENTITIES,
            schema=[
                Field(name="user_id", dtype=String),
                Field(name="shop", dtype=Int64),
                Field(name="it's", dtype=Bytes if kind is None else Array(kind)),
            ],
            source=FileSource(name="native", path="v.parquet", timestamp_field="event_timestamp"),
        )
        for name, kind in FEATURES.items()
    ]


class Database:
    """A PostgreSQL online store of plain views.

    Args:
        server: Feast's connection settings.
        project: keeps its tables apart.
        options: of the store.
    """

    def __init__(self, server: dict[str, Any], project: str, **options: object) -> None:
        self.server = server
        self.config = RepoConfig(
            project=project,
            provider="local",
            registry="unused.db",
            online_store={"type": "postgres", **server, **options},
            entity_key_serialization_version=3,
        )
        self.store = PostgreSQLOnlineStore()
        self.store.update(self.config, [], views(), [], [], False)

    def close(self) -> None:
        """What Feast leaves open."""
        close_connections(self.store)

    def dump(self) -> dict[str, Rows]:
        """All columns of all rows of each view."""
        with connect(self.server) as connection, connection.cursor() as cursor:
            found = {}
            for view in views():
                table = psycopg.sql.Identifier(f"{self.config.project}_{view.name}")
                query = psycopg.sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(table)
                found[view.name] = cursor.execute(query).fetchall()
            return found

    def staged(self) -> int:
        """How many rows stand in the staging table of the store's connection, if it has one."""
        with self.store._get_conn(self.config, autocommit=True) as connection:
            query = "SELECT to_regclass('pg_temp.feast_bc_staged') IS NULL"
            if connection.execute(query).fetchone() == (True,):
                return 0
            (count,) = connection.execute("SELECT count(*) FROM feast_bc_staged").fetchone()
            return int(count)
