"""Materialization over Ray: its workers write what the rule says, and every fault is told."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FileSource
from feast.data_format import ParquetFormat
from feast.infra.offline_stores.contrib.ray_offline_store.ray_source import RaySource
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.redis_server import RedisServer
from feast_bc.errors import (
    DimensionError,
    FeastBCError,
    InvalidVectorsError,
    MaterializationError,
    ProviderError,
)
from tests.support import bad_sources
from tests.support.bad_sources import bound
from tests.support.families import EXAMPLE, USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import redis_client, redis_dump
from tests.support.ray_session import ray_session, ray_store
from tests.support.scenarios import CASES
from tests.support.schedules import run
from tests.support.strategies import families, schedules

COUNT = 40
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
WITHOUT_FEAST_BC = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "feast_bc":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hidden())
"""
LOCAL = {"type": "duckdb"}


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with ray_session():
        yield


def applied(folder: Path, family: Family = FAMILY, **options: object) -> FeatureStore:
    store = ray_store(folder, **options)  # type: ignore[arg-type]
    store.apply([USER, *family.write(folder).feature_views().values()])
    return store


def holds(store: FeatureStore, family: Family = FAMILY, hour: float = 6) -> None:
    """Everything stands online as the rule says."""
    users = [*sorted({row.entity for row in family.rows}), 99]
    for version in range(len(family.dims)):
        expected = [family.value(version, user, hour) for user in users]
        same(online(store, f"user_embedding_v{version}", users), expected)


def fails(store: FeatureStore, kind: type[FeastBCError], match: str) -> None:
    """All views fail, and no watermark moves."""
    with pytest.raises(kind, match=match):
        store.materialize(at(-1), at(6))
    store.refresh_registry()
    assert [view.most_recent_end_time for view in store.list_feature_views()] == [None, None]


def rewrite(path: Path, change: Callable[[list[list[float]]], list[object]]) -> bytes:
    """Change the vectors of a file; return what it was."""
    right = path.read_bytes()
    table = pq.read_table(path)
    column = pa.array(change(table["embedding"].to_pylist()))
    pq.write_table(table.set_column(2, "embedding", column), path)
    return right


@pytest.mark.parametrize("name", CASES)
def test_scenarios(name: str, tmp_path: Path) -> None:
    family, steps = CASES[name]
    run(ray_store(tmp_path, offline=LOCAL), family, tmp_path, steps)


@settings(max_examples=15)
@given(data=st.data())
def test_online_equals_offline_equals_the_rule(
    redis_store: dict[str, object], redis_address: str, data: st.DataObject
) -> None:
    family = data.draw(families())
    steps = data.draw(schedules(family))
    with redis_client(redis_address) as client:
        client.flushdb()
    with tempfile.TemporaryDirectory() as folder:
        store = ray_store(Path(folder), offline=LOCAL, online=redis_store)
        run(store, family, Path(folder), steps)


def test_what_the_local_engine_writes(
    tmp_path: Path, redis_store: dict[str, object], redis_address: str
) -> None:
    """To the last bits of a product of matrices; nothing is asked of Feast's Ray store."""
    for name in ("local", "ray"):
        (tmp_path / name).mkdir()
    views = FAMILY.write(tmp_path).feature_views().values()
    local = make_store(tmp_path / "local", online=redis_store)
    local.apply([USER, *views])
    local.materialize(at(0), at(6))
    expected = redis_dump(redis_address)
    with redis_client(redis_address) as client:
        client.flushdb()
    store = ray_store(tmp_path / "ray", online=redis_store)
    store.apply([USER, *views])
    with patch("feast_bc.offline.store.BackwardCompatibleOfflineStore.latest_rows") as pulled:
        store.materialize(at(0), at(6))
    assert not pulled.called
    found = redis_dump(redis_address)
    assert found.keys() == expected.keys()
    for key, (fields, ttl) in expected.items():
        assert (found[key][0].keys(), found[key][1]) == (fields.keys(), ttl)
        for field, value in fields.items():
            nearly_equal(found[key][0][field], value)


def nearly_equal(found: bytes, value: bytes) -> None:
    """Stored values: the floats of a transformed vector depend on how many are transformed."""
    floats = 4 * FAMILY.dims[0]
    if found != value:
        assert (len(found), found[:-floats]) == (len(value), value[:-floats])
        one, other = (np.frombuffer(each[-floats:], "<f4") for each in (found, value))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_part_files_named_otherwise(tmp_path: Path) -> None:
    """Row groups, part files, a hive partition, columns under other names, keys of another type."""

    def parts(path: str, version: int) -> FileSource:
        table = pq.read_table(path)
        table = table.set_column(0, "id", table["user_id"].cast(pa.int32()))
        table = table.rename_columns(["id", "computed", "vector"])
        created = pa.array([at(9)] * len(table), pa.timestamp("ms"))  # without a zone
        table = table.append_column("created", created)
        for i in range(2):
            folder = tmp_path / f"parts{version}" / f"day={i}"
            folder.mkdir(parents=True)
            pq.write_table(table[i::2] if i else table.slice(0, 20), folder / "a.parquet", 7)
            pq.write_table(table.slice(20), folder / "b.parquet", 7)
        return FileSource(
            name=f"parts{version}",
            path=str(tmp_path / f"parts{version}"),
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
            field_mapping={
                "id": "user_id",
                "computed": "event_timestamp",
                "vector": "embedding",
            },
        )

    embedding = FAMILY.write_over(tmp_path, lambda m: parts(m.source.path, m.version))
    store = ray_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    engine = "feast_bc.materialization.ray"
    with patch(f"{engine}._ROWS_AT_ONCE", 8), patch(f"{engine}._ROWS_AT_LEAST", 1):
        store.materialize(at(0), at(6))
    holds(store)


def test_ray_sources(tmp_path: Path) -> None:
    embedding = EXAMPLE.write_over(
        tmp_path,
        lambda member: RaySource(
            name=f"v{member.version}",
            reader_type="parquet",
            path=member.source.path,
            timestamp_field="event_timestamp",
        ),
    )
    store = ray_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(at(0), at(6))
    holds(store, EXAMPLE)


def test_nothing_to_write(tmp_path: Path) -> None:
    store = applied(tmp_path, Family(dims=[2], rows=[]))
    store.materialize(at(0), at(6))
    same(online(store, "user_embedding_v0", [1]), [None])


def test_one_bad_row(tmp_path: Path) -> None:
    store = applied(tmp_path)
    right = rewrite(tmp_path / "v1.parquet", lambda rows: [*rows[:20], rows[20][:-1], *rows[21:]])
    fails(store, DimensionError, r"user_embedding_v[01].*vectors of dimension 50, found 49")
    (tmp_path / "v1.parquet").write_bytes(right)
    store.materialize(at(-1), at(6))
    holds(store)


def test_no_vectors(tmp_path: Path) -> None:
    store = applied(tmp_path)
    right = rewrite(tmp_path / "v1.parquet", lambda rows: ["x"] * len(rows))
    fails(store, InvalidVectorsError, r"user_embedding_v[01].*text that is no JSON list")
    (tmp_path / "v1.parquet").write_bytes(right)
    store.materialize(at(-1), at(6))
    holds(store)


def test_a_null_key(tmp_path: Path) -> None:
    store = applied(tmp_path)
    table = pq.read_table(tmp_path / "v0.parquet")
    keys = pa.array([None, *table["user_id"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(0, "user_id", keys), tmp_path / "v0.parquet")
    fails(store, InvalidVectorsError, r"user_embedding_v0.*'user_id' is null in 1 native row")


def test_a_file_is_missing(tmp_path: Path) -> None:
    """Only views that read it fail."""
    store = applied(tmp_path)
    file = tmp_path / "v0.parquet"
    right = file.read_bytes()
    file.unlink()
    with pytest.raises(InvalidVectorsError, match=r"FileNotFoundError: .*v0\.parquet"):
        store.materialize(at(-1), at(6))
    same(online(store, VIEWS[1], [3]), [FAMILY.value(1, 3, 6)])
    file.write_bytes(right)
    store.materialize(at(-1), at(6))
    holds(store)


def test_the_online_store_refuses(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, server.client() as client:
        redis = {"type": "redis", "connection_string": server.address}
        store = applied(tmp_path, online=redis, materialization={"online_write_batch_size": 5})
        client.config_set("maxmemory", "1kb")
        with pytest.raises(MaterializationError, match="used memory > 'maxmemory'"):
            store.materialize(at(-1), at(6))
        client.config_set("maxmemory", "0")
        store.materialize(at(-1), at(6))
        holds(store)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_worker_is_killed(tmp_path: Path, retries: int) -> None:
    """Ray starts its task again; where it may not, the job fails and a re-run completes."""
    with RedisServer(tmp_path) as server, server.client() as client:
        redis = {"type": "redis", "connection_string": server.address}
        options = {"worker_task_options": {"max_retries": retries}}
        store = applied(tmp_path, online=redis, engine=options)
        killed: list[int] = []

        def kill() -> None:
            """The first worker that is writing, while the store holds it up."""
            while not killed:
                for process in psutil.Process().children(recursive=True):
                    if process.name().startswith("ray::write_buck"):
                        time.sleep(0.5)  # into its first write
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
                        break
                time.sleep(0.01)
            client.client_unpause()

        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        thread = threading.Thread(target=kill)
        thread.start()
        try:
            if retries:
                store.materialize(at(-1), at(6))
            else:
                with pytest.raises(MaterializationError, match=r"Ray did not finish: .*Worker"):
                    store.materialize(at(-1), at(6))
        finally:
            thread.join()
        store.materialize(at(-1), at(6))
        holds(store)


def test_a_package_is_missing_on_the_workers(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_FEAST_BC)  # where a worker begins
    environment = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    store = applied(tmp_path, engine={"worker_task_options": {"runtime_env": environment}})
    fails(store, ProviderError, r"workers cannot import 'feast_bc'.*the packages of the driver")
    store = ray_store(tmp_path)
    store.materialize(at(-1), at(6))
    holds(store)


def test_a_version_is_activated_meanwhile(tmp_path: Path) -> None:
    """The run finishes by its plan; the next one writes by the new plan."""
    before = Family(dims=FAMILY.dims, rows=FAMILY.rows)
    with RedisServer(tmp_path) as server, server.client() as client:
        redis = {"type": "redis", "connection_string": server.address}
        store = applied(tmp_path, before, online=redis)
        # An activation writes no native vectors.
        active = FAMILY.write(tmp_path).feature_views().values()
        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")

        def activate() -> None:
            ray_store(tmp_path, online=redis).apply([USER, *active])
            client.client_unpause()

        thread = threading.Thread(target=activate)
        thread.start()
        store.materialize(at(-1), at(6))
        thread.join()
        holds(store, before)
        store.refresh_registry()
        store.materialize(at(-1), at(6))
        holds(store)


@pytest.mark.parametrize("fault", ["shrunken", "other vectors", "missing"])
def test_a_source_that_went_bad(tmp_path: Path, fault: str) -> None:
    store = ray_store(tmp_path, offline=LOCAL)
    family = bound(bad_sources.FAMILY.write(tmp_path), store.config)
    store.apply([USER, *family.feature_views().values()])
    right = (tmp_path / "v1.parquet").read_bytes()
    spoil, told = bad_sources.FAULTS[fault]
    spoil(tmp_path / "v1.parquet")
    fails(store, InvalidVectorsError, f"source 'user_embedding_v1_vectors'.*{told}")
    assert online(store, "user_embedding_v0", [1]) == [None]
    (tmp_path / "v1.parquet").write_bytes(right)
    store.materialize(at(-1), at(6))
    holds(store, bad_sources.FAMILY)
