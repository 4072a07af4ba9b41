"""Online stores that fail while a family is materialized, for real."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore

from benchmarks.redis_server import RedisServer
from feast_bc.errors import MaterializationError
from feast_bc.online.redis.writer import RedisWriter
from feast_bc.online.sqlite.writer import SqliteWriter
from tests.support.families import USER, Family, Row, at, make_store, online, same
from tests.support.interruptions import before_batch
from tests.support.online_stores import redis_dump, sqlite_dump
from tests.support.presence import there

COUNT = 40
BATCH = 10
FAMILY = Family(
    dims=[40, 50],
    rows=[
        Row(version, user, version + 1, tuple(range(user, user + dim)))
        for version, dim in enumerate([40, 50])
        for user in range(COUNT)
    ],
    active={1: [(2, None)]},
)
VIEWS = ["user_embedding_v0", "user_embedding_v1"]


def applied(folder: Path, online_store: dict[str, object] | None = None) -> FeatureStore:
    settings: dict[str, object] = {"online_write_batch_size": BATCH}
    store = make_store(folder, online=online_store, materialization=settings)
    store.apply([USER, *FAMILY.write(folder).feature_views().values()])
    return store


def redis_config(server: RedisServer) -> dict[str, object]:
    return {"type": "redis", "connection_string": f"{server.address},socket_timeout=20"}


def fails(
    store: FeatureStore, *reasons: str, views: Sequence[str] = VIEWS, of: str = "user_id="
) -> None:
    """All views fail, with an error that names some, entities, the reason and what to do."""
    with pytest.raises(MaterializationError) as caught:
        store.materialize(at(-1), at(6))
    message = str(caught.value)
    for part in (*views, of, "run the same command again", *reasons):
        assert part in message
    store.refresh_registry()
    assert [view.most_recent_end_time for view in store.list_feature_views()] == [None, None]


def never_mixed(store: FeatureStore, *, some: bool = True) -> None:
    """What stands online is right, for both views of an entity."""
    found = {view: online(store, view, range(COUNT)) for view in VIEWS}
    present = [value is not None for value in found[VIEWS[0]]]
    assert [value is not None for value in found[VIEWS[1]]] == present
    assert any(present) == some
    assert not all(present)
    for version, view in enumerate(VIEWS):
        for user, value in enumerate(found[view]):
            if value is not None:
                same([value], [FAMILY.value(version, user, 6)])


def completes(store: FeatureStore) -> None:
    store.materialize(at(-1), at(6))
    for version, view in enumerate(VIEWS):
        same(online(store, view, range(COUNT)), [FAMILY.value(version, u, 6) for u in range(COUNT)])


def test_redis_away_at_start(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        store = applied(tmp_path, redis_config(server))
        server.stop()
        fails(store, "ConnectionError", of="Nothing was written")
        server.start()
        completes(store)


def test_redis_dropped_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path) as server:
        store = applied(tmp_path, redis_config(server))
        before_batch(monkeypatch, RedisWriter, 3, server.stop)
        fails(store, "ConnectionError")
        server.start()  # empty: it kept nothing
        completes(store)


def test_redis_drops_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that closed an idle connection is simply asked over a new one."""
    with RedisServer(tmp_path) as server, server.client() as client:
        store = applied(tmp_path, redis_config(server))
        before_batch(monkeypatch, RedisWriter, 3, lambda: client.client_kill_filter(_type="normal"))
        completes(store)


def test_redis_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path) as server, server.client() as client:
        store = applied(tmp_path, redis_config(server))
        before_batch(monkeypatch, RedisWriter, 3, lambda: client.config_set("maxmemory", "100kb"))
        fails(store, "used memory > 'maxmemory'")
        never_mixed(store)
        client.config_set("maxmemory", "0")
        completes(store)


def test_redis_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path) as server, server.client() as client:
        store = applied(tmp_path, redis_config(server))
        before_batch(monkeypatch, RedisWriter, 2, lambda: client.replicaof("127.0.0.1", 1))
        fails(store, "read only replica")
        client.execute_command("REPLICAOF", "NO", "ONE")
        never_mixed(store)
        completes(store)


def test_an_error_reply_does_not_answer_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of another type breaks one command of a pipeline; the connection is not used again."""
    with RedisServer(tmp_path) as server, server.client() as client:
        store = applied(tmp_path, redis_config(server))
        completes(store)
        key = next(iter(client.scan_iter()))
        client.flushdb()
        client.set(key, "not a hash")
        other = make_store(tmp_path, online=redis_config(server))
        with pytest.raises(MaterializationError, match=r"WRONGTYPE"):
            other.materialize(at(-1), at(6))
        client.delete(key)
        completes(other)


def test_sqlite_locked(tmp_path: Path) -> None:
    store = applied(tmp_path)
    other = sqlite3.connect(tmp_path / "online.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    fails(store, "database is locked", of="Nothing was written")
    other.execute("ROLLBACK")
    other.close()
    completes(store)


def test_sqlite_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = applied(tmp_path)
    connect = sqlite3.connect

    def full(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    with monkeypatch.context() as patch:
        before_batch(patch, SqliteWriter, 3, lambda: patch.setattr(sqlite3, "connect", full))
        fails(store, "database or disk is full")
    never_mixed(store)
    completes(store)


DIES = """
import os, signal, sys
from pathlib import Path
from feast_bc.online.{kind}.writer import {writer}
from tests.support.families import at, make_store
from tests.support.interruptions import before_batch
import pytest

with pytest.MonkeyPatch.context() as patch:
    before_batch(patch, {writer}, 3, lambda: os.kill(os.getpid(), signal.SIGKILL))
    store = make_store(
        Path(sys.argv[1]), online={online!r}, materialization={{"online_write_batch_size": {batch}}}
    )
    store.materialize(at(-1), at(6))
"""


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_the_process_dies(kind: str, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        config = redis_config(server) if kind == "redis" else None
        writer = f"{kind.capitalize()}Writer"
        store = applied(tmp_path, config)
        code = DIES.format(kind=kind, writer=writer, online=config, batch=BATCH)
        died = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        never_mixed(store)
        completes(store)

        def dump() -> object:
            return (
                redis_dump(server.address)
                if kind == "redis"
                else sqlite_dump(tmp_path / "online.db")
            )

        after_two = dump()
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        with server.client() as client:
            client.flushdb()
        (tmp_path / "online.db").unlink(missing_ok=True)
        again = applied(tmp_path, config)
        completes(again)
        assert dump() == after_two


def test_a_version_activated_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends under the plan with which it began; the next one follows the new plan."""
    before = Family(dims=FAMILY.dims, rows=FAMILY.rows)
    store = make_store(tmp_path, materialization={"online_write_batch_size": BATCH})
    store.apply([USER, *before.write(tmp_path).feature_views().values()])

    # An activation writes no native vectors.
    active = FAMILY.write(tmp_path).feature_views().values()

    def activate() -> None:
        make_store(tmp_path).apply([USER, *active])

    before_batch(monkeypatch, SqliteWriter, 3, activate)
    store.materialize(at(-1), at(6))
    for version, view in enumerate(VIEWS):
        expected = [before.value(version, user, 6) for user in range(COUNT)]
        same(online(store, view, range(COUNT)), expected)
    other = make_store(tmp_path)
    other.materialize_incremental(at(7))
    for version, view in enumerate(VIEWS):
        expected = [FAMILY.value(version, user, 7) for user in range(COUNT)]
        same(online(other, view, range(COUNT)), expected)
    assert not np.array_equal(there(before.value(0, 1, 6)), there(FAMILY.value(0, 1, 6)))


def test_a_version_activated_during_a_run_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure does not take the new plan back from the registry."""
    before = Family(dims=FAMILY.dims, rows=FAMILY.rows)
    store = make_store(tmp_path, materialization={"online_write_batch_size": BATCH})
    store.apply([USER, *before.write(tmp_path).feature_views().values()])

    def activate_and_fail() -> None:
        other = make_store(tmp_path)
        other.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
        raise sqlite3.OperationalError("disk I/O error")

    before_batch(monkeypatch, SqliteWriter, 3, activate_and_fail)
    fails(store, "disk I/O error", views=["user_embedding_v1"])  # before the cut-over, apart
    completes(make_store(tmp_path))
