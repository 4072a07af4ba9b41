"""What we store is what stock Feast stores for the same vectors, byte for byte."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.infra.online_stores.helpers import _mmh3
from feast.types import Array, Float32, Int32, Int64, PrimitiveFeastType, String, UnixTimestamp
from google.protobuf.timestamp_pb2 import Timestamp

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.online import writer
from feast_bc.rule import Activation
from feast_bc.transforms import AffineTransform
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import Family, Row, at, make_store
from tests.support.links import stored
from tests.support.online_stores import (
    dynamodb_dump,
    redis_client,
    redis_dump,
    sqlite_dump,
    values_in_redis,
    values_in_tables,
)
from tests.support.redis_kinds import redis_cluster, redis_sentinel

DIMS = [3, 40, 130]
"""Their stored lengths take one, two and three bytes."""
COUNT = 60

Keys = dict[str, tuple[PrimitiveFeastType, pa.Array]]

KEYS: dict[str, Keys] = {
    "int64": {"user_id": (Int64, pa.array(range(-5, COUNT - 5), pa.int64()))},
    "int32": {"user_id": (Int32, pa.array(range(COUNT), pa.int32()))},
    "string": {"user_id": (String, pa.array(["", "ü" * 3, *map(str, range(COUNT - 2))]))},
    "timestamp": {
        "user_id": (UnixTimestamp, pa.array(np.arange(COUNT) * 10**6, pa.timestamp("us", "UTC")))
    },
    "composite": {
        "user_id": (String, pa.array([f"u{i % 7}" for i in range(COUNT)])),
        "item": (Int64, pa.array(range(COUNT), pa.int64())),
    },
}


def entities(keys: Keys) -> list[Entity]:
    return [
        Entity(name=n, join_keys=[n], value_type=t.to_value_type()) for n, (t, _) in keys.items()
    ]


def instants(rng: np.random.Generator, count: int, *, whole_seconds: bool) -> pa.Array:
    micros = rng.integers(0, 3600 * 10**6, count)
    if whole_seconds:
        micros -= micros % 10**6
    return pa.array(np.datetime64("2026-01-01T00:00:00") + micros.astype("m8[us]")).cast(
        pa.timestamp("us", "UTC")
    )


def embedding(folder: Path, keys: Keys, *, seed: int = 0) -> VersionedEmbedding:
    """Three versions; some entities lack one, have a null vector, or expire.

    All numbers are small integers: sums in float32 are exact in whatever order BLAS takes them.
    """
    rng = np.random.default_rng(seed)
    versions = []
    for k, dim in enumerate(DIMS):
        rows = np.sort(rng.choice(COUNT, COUNT - 15, replace=False))
        natives = rng.integers(-8, 8, (len(rows), dim)).astype(np.float32)
        vectors = [None if rng.random() < 0.1 else row for row in natives]
        table = pa.table({n: column.take(pa.array(rows)) for n, (_, column) in keys.items()})
        table = table.append_column(
            "event_timestamp", instants(rng, len(rows), whole_seconds=k == 0)
        ).append_column("embedding", pa.array(vectors, pa.list_(pa.float32())))
        pq.write_table(table, folder / f"native{k}.parquet", row_group_size=16)
        link = None
        if k:
            weight = rng.integers(-2, 3, (DIMS[k - 1], dim)).astype(float)
            backward = AffineTransform(weight, from_version=k, to_version=k - 1)
            link = stored(backward, folder)
        versions.append(
            EmbeddingVersion(
                version=k,
                dim=dim,
                source=FileSource(
                    name=f"native{k}",
                    path=str(folder / f"native{k}.parquet"),
                    timestamp_field="event_timestamp",
                ),
                transform=link,
                activations=(Activation(at(0.2 * k)),) if k else (),
            )
        )
    return VersionedEmbedding(
        "user_embedding", versions=versions, entities=entities(keys), ttl=timedelta(minutes=40)
    )


def stock_views(store: FeatureStore, folder: Path, keys: Keys, end: datetime) -> list[FeatureView]:
    """Plain views over tables that hold what `store`'s version views have at `end`."""
    views = []
    for view in sorted(store.list_feature_views(), key=lambda v: str(v.name)):
        table = (
            store._get_provider()
            .offline_store.pull_latest_from_table_or_query(
                config=store.config,
                data_source=view.batch_source,
                join_key_columns=list(keys),
                feature_name_columns=["embedding"],
                timestamp_field="event_timestamp",
                created_timestamp_column=None,
                start_date=at(-1),
                end_date=end,
            )
            .to_arrow()
        )
        path = folder / f"{view.name}.parquet"
        pq.write_table(table, path)
        views.append(
            FeatureView(
                name=view.name,
                entities=entities(keys),
                schema=[
                    *(Field(name=name, dtype=type_) for name, (type_, _) in keys.items()),
                    Field(name="embedding", dtype=Array(Float32)),
                ],
                ttl=timedelta(minutes=40),
                source=FileSource(
                    name=view.name, path=str(path), timestamp_field="event_timestamp"
                ),
            )
        )
    return views


def both(
    tmp_path: Path,
    keys: Keys,
    online: Callable[[Path], dict[str, object]],
    dump: Callable[[Path], Any],
    ends: Sequence[datetime] = (at(1),),
    materialization: dict[str, object] | None = None,
) -> tuple[Any, Any]:
    """The online store after our materializations up to `ends`, and after stock Feast's."""
    ours, stock = tmp_path / "ours", tmp_path / "stock"
    ours.mkdir()
    stock.mkdir()
    store = make_store(ours, online=online(ours), materialization=materialization)
    views = embedding(tmp_path, keys).feature_views().values()
    store.apply([*entities(keys), *views])
    for end in ends:
        store.materialize(at(-1), end)
    found = dump(ours)
    plain = make_store(stock, provider="local", online=online(stock))
    # Feast's Redis store keeps rows with newer timestamps: it gets the last state only.
    plain.apply([*entities(keys), *stock_views(store, tmp_path, keys, ends[-1])])
    plain.materialize(at(-1), ends[-1])
    return found, dump(stock)


def stored_rows(dump: dict[str, list[Any]]) -> list[Any]:
    """The rows of all tables of a SQLite dump, without the tables' definitions."""
    return [row for _, *rows in dump.values() for row in rows]


@pytest.mark.parametrize("keys", KEYS)
def test_sqlite(keys: str, tmp_path: Path) -> None:
    found, expected = both(
        tmp_path,
        KEYS[keys],
        lambda folder: {"type": "sqlite", "path": str(folder / "online.db")},
        lambda folder: values_in_tables(sqlite_dump(folder / "online.db")),
        # The later end overwrites values that expired in between with nulls.
        ends=[at(0.5), at(1)],
    )
    assert found == expected
    stored = stored_rows(found)
    assert len(stored) > 2 * COUNT
    assert any(value == b"" for _, _, value, *_ in stored)


def test_sqlite_with_vectors_for_a_search(tmp_path: Path) -> None:
    """Feast's own writer fails on a null vector, and on one without `vector_index`."""
    rows: dict[str, Any] = {}
    for name, options in (("ours", {}), ("stock", {"enable_openai_compatible_store": True})):
        folder = tmp_path / name
        folder.mkdir()
        online = {"type": "sqlite", "path": str(folder / "o.db"), "vector_enabled": True}
        store = make_store(folder, online={**online, **options})
        family = Family(
            dims=[3], rows=[Row(0, e, 1, (e, 0.5, -1)) for e in range(70)], name="user_embedding"
        )
        plain = family.write(tmp_path)
        embedding = VersionedEmbedding(
            "user_embedding", versions=plain.versions, entities=plain.entities, vector_index=True
        )
        store.apply([*plain.entities, *embedding.feature_views().values()])
        store.materialize(at(0), at(2))
        with sqlite3.connect(folder / "o.db") as connection:
            rows[name] = connection.execute(
                "SELECT entity_key, feature_name, value, value_text, vector_value, event_ts, "
                "created_ts FROM test_user_embedding_v0 ORDER BY 1"
            ).fetchall()
        connection.close()
    assert rows["ours"] == rows["stock"]
    assert rows["ours"][0][4] == np.array([0, 0.5, -1], "<f4").tobytes()


def test_sqlite_with_null_vectors_for_a_search(tmp_path: Path) -> None:
    online = {"type": "sqlite", "path": str(tmp_path / "o.db"), "vector_enabled": True}
    store = make_store(tmp_path, online=online)
    views = embedding(tmp_path, KEYS["int64"]).feature_views().values()
    store.apply([*entities(KEYS["int64"]), *views])
    store.materialize(at(-1), at(1))
    with sqlite3.connect(tmp_path / "o.db") as connection:
        rows = connection.execute(
            "SELECT length(value), length(vector_value) FROM test_user_embedding_v0"
        ).fetchall()
    connection.close()
    assert {(bool(value), vector) for value, vector in rows} == {(True, 4 * DIMS[0]), (False, None)}


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize(
    "options", [{}, {"skip_dedup": True, "key_ttl_seconds": 3600}, {"key_ttl_seconds": 3600}]
)
def test_redis(
    keys: str,
    options: dict[str, object],
    redis_store: dict[str, object],
    redis_address: str,
    tmp_path: Path,
) -> None:
    def dump(_: Path) -> Any:
        found = values_in_redis(redis_dump(redis_address))
        with redis_client(redis_address) as client:
            client.flushdb()
        # Both took less than a minute since.
        return {key: (fields, -(-ttl // 60)) for key, (fields, ttl) in found.items()}

    found, expected = both(
        tmp_path, KEYS[keys], lambda _: {**redis_store, **options}, dump, ends=[at(0.5), at(1)]
    )
    assert found == expected
    assert len(found) > COUNT / 2
    assert {ttl for _, ttl in found.values()} == ({60} if "key_ttl_seconds" in options else {0})


def test_redis_cluster(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as (server, online), server.client() as client:

        def dump(_: Path) -> Any:
            found = {
                key: fields
                for key, (fields, _) in values_in_redis(redis_dump(server.address)).items()
            }
            client.flushdb()
            return found

        options = {**online, "key_ttl_seconds": 3600}
        found, expected = both(
            tmp_path, KEYS["string"], lambda _: options, dump, ends=[at(0.5), at(1)]
        )
    assert found == expected
    assert len(found) > COUNT / 2


def test_a_sentinel_s_master(tmp_path: Path) -> None:
    with redis_sentinel(tmp_path) as (server, online):

        def dump(_: Path) -> Any:
            found = values_in_redis(redis_dump(server.address))
            with server.client() as client:
                client.flushdb()
            return found

        found, expected = both(tmp_path, KEYS["int64"], lambda _: online, dump)
    assert found == expected
    assert len(found) > COUNT / 2


@pytest.mark.parametrize("keys", ["int64", "composite"])
def test_dynamodb(
    keys: str, dynamodb: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where several objects of the store write at once."""
    monkeypatch.setattr(writer, "_ROWS", 7)

    def config(folder: Path) -> dict[str, object]:
        template = dynamodb["table_name_template"]
        return {**dynamodb, "table_name_template": f"{folder.name}.{template}"}

    def dump(folder: Path) -> Any:
        return values_in_tables(dynamodb_dump(config(folder)))

    found, expected = both(tmp_path, KEYS[keys], config, dump, ends=[at(0.5), at(1)])
    assert found == expected
    assert [len(rows) > COUNT / 2 for rows in found.values()] == [True] * len(DIMS)


def test_any_other_store(tmp_path: Path) -> None:
    """SQLite with an option that our own writer leaves to Feast's."""
    options = {"type": "sqlite", "enable_openai_compatible_store": True}
    found, expected = both(
        tmp_path,
        KEYS["composite"],
        lambda folder: {**options, "path": str(folder / "online.db")},
        lambda folder: values_in_tables(sqlite_dump(folder / "online.db")),
        ends=[at(0.5), at(1)],
    )
    assert found == expected
    assert len(stored_rows(found)) > 2 * COUNT
    assert "value_num" in found["test_user_embedding_v0"][0]


def test_a_full_run_writes_over_whatever_stands_there(
    redis_store: dict[str, object], redis_address: str, tmp_path: Path
) -> None:
    """Also over a newer timestamp, which Feast's own writer would keep."""
    store = make_store(tmp_path, online=redis_store)
    views = embedding(tmp_path, KEYS["int64"]).feature_views()
    store.apply([*entities(KEYS["int64"]), *views.values()])
    store.materialize(at(-1), at(1))
    before = values_in_redis(redis_dump(redis_address))
    stamp = b"_ts:user_embedding_v0"
    key = next(key for key, (fields, _) in before.items() if stamp in fields)
    newer = Timestamp.FromString(before[key][0][stamp])
    newer.seconds += 3600
    wrong = {stamp: newer.SerializeToString(), _mmh3("user_embedding_v0:embedding"): b"wrong"}
    with redis_client(redis_address) as client:
        client.hset(key, mapping=wrong)
    store.materialize(at(-1), at(1))
    assert values_in_redis(redis_dump(redis_address)) == before


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_sizes(batch_size: int, tmp_path: Path) -> None:
    found, expected = both(
        tmp_path,
        KEYS["int64"],
        lambda folder: {"type": "sqlite", "path": str(folder / "online.db")},
        lambda folder: values_in_tables(sqlite_dump(folder / "online.db")),
        materialization={"online_write_batch_size": batch_size},
    )
    assert found == expected
    assert len(stored_rows(found)) > 2 * COUNT
