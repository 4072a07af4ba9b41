"""Materialization of one family by each engine, and what it costs on the driver and elsewhere.

Usage: python -m benchmarks.scale [--entities N ...] [--engines local spark ray] [--versions N]

Every case runs in a process of its own, into a Redis that was emptied. Processor time is that of
the process, and of all that it started (Java, Ray, Python workers), imports included. "Driver" is
the Python process that calls `store.materialize`: its growth is the peak of its resident memory
over what it was before the call. "Elsewhere" is the peak of what it started, summed. Spark and Ray
have two threads; Spark ends a job whose results to the driver exceed 5 MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import redis
from feast import FeatureStore, FileSource
from feast.data_source import DataSource

from benchmarks.harness import Report, parser
from benchmarks.redis_server import RedisServer
from benchmarks.workload import PROVIDER, USER, Workload, computed

HEADER = ("entities", "engine", "CPU s", "s", "driver +MiB", "elsewhere MiB", "Redis", "B/entity")
_MIB = 2**20


def spark_source(name: str, path: Path) -> DataSource:
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return SparkSource(
        name=name, path=str(path), file_format="parquet", timestamp_field="event_timestamp"
    )


def file_source(name: str, path: Path) -> DataSource:
    return FileSource(name=name, path=str(path), timestamp_field="event_timestamp")


def spark_options(folder: Path) -> dict[str, Any]:
    conf = {
        "spark.master": "local[2]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.maxResultSize": "5m",
        "spark.driver.memory": "2g",
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    return {
        "offline_store": {"type": "spark", "spark_conf": conf},
        "batch_engine": {"type": "spark.engine"},
    }


def ray_options(folder: Path) -> dict[str, Any]:
    conf = {"num_cpus": 2, "object_store_memory": 500 * _MIB}
    return {
        "offline_store": {"type": "ray", "storage_path": str(folder / "scratch"), "ray_conf": conf},
        "batch_engine": {"type": "ray.engine", "ray_conf": conf},
    }


def local_options(_folder: Path) -> dict[str, Any]:
    return {"offline_store": {"type": "duckdb"}, "batch_engine": {"type": "local"}}


OPTIONS = {"local": local_options, "spark": spark_options, "ray": ray_options}


def apply(folder: Path, engine: str, work: Workload, address: str) -> None:
    """Write a feature repo and apply it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "project": "scale",
        "provider": PROVIDER,
        "registry": str(folder / "registry.db"),
        "online_store": {"type": "redis", "connection_string": address},
        "entity_key_serialization_version": 3,
        **OPTIONS[engine](folder),
    }
    (folder / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    source = spark_source if engine == "spark" else file_source
    store = FeatureStore(str(folder))
    store.apply([USER, *work.embedding(source).feature_views().values()])


class Watch:
    """Samples the memory of this process, and of all that it started."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self.base = self._me.memory_info().rss
        self.driver, self.elsewhere = self.base, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.driver = max(self.driver, self._me.memory_info().rss)
            others = 0
            for child in self._me.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    others += child.memory_info().rss
            self.elsewhere = max(self.elsewhere, others)

    def processor_time(self) -> float:
        """Seconds of this process and of all that it started."""
        total = 0.0
        for process in (self._me, *self._me.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])
        return total


def run_case(folder: Path, until: str) -> dict[str, float]:
    """Materialize in this process."""
    store = FeatureStore(str(folder))
    if store.config.offline_store.type == "spark":
        from feast.infra.offline_stores.contrib.spark_offline_store import spark

        spark.get_spark_session_or_start_new_with_repoconfig(store.config.offline_store)
    store.provider.batch_engine  # noqa: B018 - what it imports belongs to the base
    with Watch() as watch:
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            store.materialize(computed(0), computed(int(until)))
        spent = time.perf_counter() - began
        cpu = watch.processor_time()
    return {
        "cpu": cpu,
        "wall": spent,
        "driver": (watch.driver - watch.base) / _MIB,
        "elsewhere": watch.elsewhere / _MIB,
    }


def contents(client: Any) -> str:
    """A digest of everything in a Redis, whatever the order."""
    total = 0
    for key in client.scan_iter(count=10_000):
        fields = sorted(client.hgetall(key).items())
        total ^= int.from_bytes(hashlib.sha256(repr((key, fields)).encode()).digest()[:8], "big")
    return f"{total:016x}"


def measure(engine: str, work: Workload, address: str, arguments: argparse.Namespace) -> list[Any]:
    folder = work.folder / engine
    apply(folder, engine, work, address)
    host, port = address.split(":")
    with redis.Redis(host, int(port)) as client:
        client.flushall()
        base = client.info("memory")["used_memory"]
        command = [sys.executable, "-m", "benchmarks.scale", "--case", str(folder)]
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
        done = subprocess.run(
            [*command, "--versions", str(work.versions)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        size = (client.info("memory")["used_memory"] - base) / work.entities
        digest = contents(client) if arguments.compare else ""
    return [
        work.entities,
        engine,
        found["cpu"],
        found["wall"],
        found["driver"],
        found["elsewhere"],
        digest,
        size,
    ]


def main(arguments: argparse.Namespace) -> None:
    if arguments.case:
        print(json.dumps(run_case(arguments.case, str(arguments.versions))))
        return
    report = Report("scale", arguments)
    rows = []
    with tempfile.TemporaryDirectory() as scratch, RedisServer(Path(scratch)) as server:
        for entities in arguments.entities:
            with tempfile.TemporaryDirectory() as folder:
                work = Workload(
                    Path(folder), entities, arguments.versions, arguments.dim, shuffled=True
                )
                for engine in arguments.engines:
                    rows.append(measure(engine, work, server.address, arguments))
    title = f"{arguments.versions} versions x {arguments.dim}, full materialization into Redis"
    report.table(title, HEADER, rows)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument(
        "--entities", type=int, nargs="+", default=[100_000, 1_000_000], help="(%(default)s)"
    )
    made.add_argument("--engines", nargs="+", default=list(OPTIONS), help="(%(default)s)")
    made.add_argument("--versions", type=int, default=3, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    made.add_argument(
        "--compare",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print a digest of what stands in Redis",
    )
    made.add_argument("--case", type=Path, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
