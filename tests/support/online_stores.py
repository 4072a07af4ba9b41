"""Whole online stores, as they stand on disk or in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import redis
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feast_bc.rule import NOTHING, Written
from feast_bc.views.stored_views import STORED_VIEW

_Rows = TypeVar("_Rows")


def redis_client(address: str) -> redis.Redis:
    """A client of `host:port`, or of `host:port,db=number`."""
    server, _, database = address.partition(",db=")
    host, port = server.split(":")
    return redis.Redis(host=host, port=int(port), db=int(database or 0))


def close_connections(store: OnlineStore) -> None:
    """Close the connections that Feast's SQL stores leave open."""
    for name in ("_conn", "_conn_pool"):
        if (opened := getattr(store, name, None)) and hasattr(opened, "close"):
            opened.close()


def redis_dump(address: str) -> dict[bytes, tuple[dict[bytes, bytes], int]]:
    """Every key with its fields and its time to live in seconds (-1: none)."""
    with redis_client(address) as client:
        return {
            key: (
                {name: same_run(key, v) for name, v in client.hgetall(key).items()},
                client.ttl(key),
            )
            for key in client.scan_iter()
        }


def same_run(key: bytes, value: bytes) -> bytes:
    """A stored value, without the number that names a run by chance if it is a record."""
    if STORED_VIEW.encode() not in key or len(value) < len(NOTHING.encode()):
        return value
    record = Written.decode(ValueProto.FromString(value).bytes_val)
    return record._replace(run=0).encode()


def values_in_redis(
    dump: dict[bytes, tuple[dict[bytes, bytes], int]], embedding: str = "user_embedding"
) -> dict[bytes, tuple[dict[bytes, bytes], int]]:
    """A dump without what stock Feast does not store: states and records."""
    states = {f"_ts:{embedding}_state".encode(), _mmh3(f"{embedding}_state:state")}
    return {
        key: ({name: value for name, value in fields.items() if name not in states}, ttl)
        for key, (fields, ttl) in dump.items()
        if b"feast_bc_stored_view" not in key
    }


def values_in_tables(dump: dict[str, _Rows]) -> dict[str, _Rows]:
    """A dump by tables without what stock Feast does not store: states and records."""
    ours = ("_embedding_state", "_embedding_written")
    return {name: rows for name, rows in dump.items() if not any(text in name for text in ours)}


def sqlite_dump(path: Path) -> dict[str, list[Any]]:
    """Every table and index with its definition, and every table's rows."""
    connection = sqlite3.connect(path)
    try:
        schema = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
        dump: dict[str, list[Any]] = {name: [sql] for name, _, sql in schema}
        for name, kind, _ in schema:
            if kind == "table":
                rows = connection.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall()  # noqa: S608
                dump[name] += [
                    (key, of, same_run(key, value), *rest) for key, of, value, *rest in rows
                ]
        return dump
    finally:
        connection.close()


def dynamodb_dump(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every item of each table, by the tables' and the entities' names.

    Args:
        config: Feast's configuration of the store; its tables' names have a prefix of their own.
    """
    import boto3

    prefix = config["table_name_template"].split("{")[0]
    client = boto3.client("dynamodb", endpoint_url=config["endpoint_url"])
    try:
        names = client.get_paginator("list_tables").paginate().search("TableNames[]")
        return {
            name.removeprefix(prefix): {
                item["entity_id"]["S"]: item
                for item in client.get_paginator("scan").paginate(TableName=name).search("Items[]")
            }
            for name in names
            if name.startswith(prefix)
        }
    finally:
        client.close()
