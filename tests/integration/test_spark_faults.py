"""Materialization by Spark's workers into Redis: what they write, and what may go wrong."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from feast import FeatureStore

from benchmarks.redis_server import RedisServer
from feast_bc import AffineTransform
from feast_bc.errors import MaterializationError, ProviderError
from tests.support.families import USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import redis_dump, values_in_redis
from tests.support.spark import needs_java, over_spark, session, spark_config, spark_workers

pytestmark = needs_java

COUNT = 200
FAMILY = Family(
    dims=[40, 50],
    rows=[
        Row(version, user, version + 1, tuple(range(user, user + dim)))
        for version, dim in enumerate([40, 50])
        for user in range(COUNT)
        if version == 0 or user % 5
    ],
    active={1: [(2, None)]},
    transforms=[
        AffineTransform(
            np.random.default_rng(0).integers(-3, 4, (40, 50)).astype(np.float32),
            from_version=1,
            to_version=0,
        )
    ],
)
"""Every fifth user has version 0 only. Whole numbers: no order of a sum changes a bit of it."""

VIEWS = ["user_embedding_v0", "user_embedding_v1"]
BLOCKED = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "feast_bc":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as made, spark_workers():
        yield made


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    with server.client() as made:
        made.flushall()
        yield made


def applied(
    folder: Path, server: RedisServer, family: Family = FAMILY, engine: str = "spark.engine"
) -> FeatureStore:
    config = spark_config(
        folder,
        master="local[2,4]",  # a task may fail three times
        online={"type": "redis", "connection_string": server.address},
        engine=engine,
        materialization={"online_write_batch_size": 20},
    )
    store = FeatureStore(config=config)
    store.apply([USER, *family.write_over(folder, over_spark).feature_views().values()])
    return store


def holds(store: FeatureStore, family: Family = FAMILY) -> None:
    for version, view in enumerate(VIEWS):
        values = [family.value(version, user, 6) for user in range(COUNT)]
        same(online(store, view, range(COUNT)), values)


def no_watermark(store: FeatureStore) -> None:
    store.refresh_registry()
    assert [view.most_recent_end_time for view in store.list_feature_views()] == [None, None]


def workers() -> list[psutil.Process]:
    """The Python processes that Spark's daemon forked."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            parent = process.parent()
            if parent and all("pyspark.daemon" in each.cmdline() for each in (process, parent)):
                found.append(process)
    return found


@contextmanager
def once_it_writes(client: Any, action: Callable[[], object]) -> Iterator[None]:
    """Do something while a worker's first write waits for the server."""
    errors: list[BaseException] = []
    over = threading.Event()

    def act() -> None:
        try:
            while not over.is_set() and all(
                each["cmd"] not in {"evalsha", "hset"} for each in client.client_list()
            ):
                time.sleep(0.02)
            action()
        except BaseException as error:  # told by the test's own thread
            errors.append(error)
        finally:
            client.client_unpause()

    client.client_pause(600_000, all=False)  # writes alone
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not errors, errors


def test_redis_holds_what_the_local_engine_writes(
    server: RedisServer, client: Any, tmp_path: Path
) -> None:
    """Byte for byte; over sources of another kind all but what names the source."""
    applied(tmp_path, server).materialize(at(-1), at(6))
    spark = redis_dump(server.address)
    client.flushall()
    applied(tmp_path, server, engine="local").materialize(at(-1), at(6))
    assert redis_dump(server.address) == spark
    client.flushall()
    files = tmp_path / "files"
    files.mkdir()
    duckdb = make_store(files, online={"type": "redis", "connection_string": server.address})
    duckdb.apply([USER, *FAMILY.write(files).feature_views().values()])
    duckdb.materialize(at(-1), at(6))
    assert values_in_redis(redis_dump(server.address)) == values_in_redis(spark)


def test_a_worker_that_dies_while_it_writes(
    server: RedisServer, client: Any, tmp_path: Path
) -> None:
    """Spark runs its task again; nothing in Redis tells of it."""
    store = applied(tmp_path, server)
    killed = []

    def kill() -> None:
        for worker in workers():
            worker.kill()
            killed.append(worker.pid)

    with once_it_writes(client, kill):
        store.materialize(at(-1), at(6))
    assert killed
    holds(store)
    found = redis_dump(server.address)
    client.flushall()
    applied(tmp_path, server, engine="local").materialize(at(-1), at(6))
    assert redis_dump(server.address) == found


def test_redis_out_of_memory(server: RedisServer, client: Any, tmp_path: Path) -> None:
    store = applied(tmp_path, server)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 50_000)
    try:
        with pytest.raises(MaterializationError) as caught:
            store.materialize(at(-1), at(6))
    finally:
        client.config_set("maxmemory", 0)
    for part in (*VIEWS, "user_id=", "maxmemory", "run the same command again"):
        assert part in str(caught.value)
    no_watermark(store)
    store.materialize(at(-1), at(6))
    holds(store)


def test_workers_without_the_package(
    server: RedisServer,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what workers need, for materialization and for retrieval."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    store = applied(tmp_path, server)
    frame = session().createDataFrame([(1, at(6))], "user_id long, event_timestamp timestamp")
    needs = r"workers cannot import 'feast_bc'.*PYSPARK_PYTHON"
    with monkeypatch.context() as patch:
        patch.setattr(session().sparkContext, "pythonExec", str(python))
        with pytest.raises(ProviderError, match=rf"user_embedding_v0, user_embedding_v1.*{needs}"):
            store.materialize(at(-1), at(6))
        with pytest.raises(ProviderError, match=needs):
            store.get_historical_features(frame, [f"{VIEWS[0]}:embedding"]).to_arrow()
    no_watermark(store)
    store.materialize(at(-1), at(6))
    holds(store)


def test_a_version_that_is_activated_meanwhile(
    server: RedisServer, client: Any, tmp_path: Path
) -> None:
    """The run writes what it began with, and the next one everything anew."""
    before = replace(FAMILY, active={})
    store = applied(tmp_path, server, before)
    with once_it_writes(client, lambda: applied(tmp_path, server)):
        store.materialize(at(-1), at(6))
    holds(store, before)
    later = applied(tmp_path, server)
    later.materialize(at(5), at(6))
    holds(later)
