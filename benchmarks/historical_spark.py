"""Historical retrieval of version views over Spark, to parquet: what the driver's memory grows by.

Usage: python -m benchmarks.historical_spark [--rows N] [--entities N] [--dim D] [--cores N]

One view over three native versions. The entity rows are a Spark DataFrame. Two sides, each in an
interpreter of its own, take turns:

- lazy: `persist` to Spark's parquet, written by the workers where the rows are.
- collected: the same rows as an Arrow table in the driver, written there; what any retrieval that
  comes back to the driver costs at least.

Growth is the driver's resident memory at its peak, less that before the retrieval, with Spark, the
store and every import up. Spark's own heap is another process's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import (
    SavedDatasetSparkStorage,
    SparkSource,
)

from benchmarks.harness import Report, parser
from benchmarks.historical import entity_rows
from benchmarks.workload import NAME, PROVIDER, USER, Workload
from feast_bc import VersionedEmbedding

VERSIONS = 3
SIDES = ("lazy", "collected")
HEADER = ("side", "s", "driver growth MiB", "driver peak MiB", "parquet MiB")


def make_files(work: Workload, rows: int, cores: int) -> None:
    """Native vectors, entity rows, and a feature repo over Spark."""
    native = work.embedding()
    versions = [
        replace(
            member,
            source=SparkSource(
                name=f"native_v{member.version}",
                path=member.source.path,
                file_format="parquet",
                timestamp_field="event_timestamp",
            ),
        )
        for member in native.versions
    ]
    embedding = VersionedEmbedding(NAME, versions=versions, entities=[USER])
    asked = pa.Table.from_pandas(entity_rows(work, rows, "history"), preserve_index=False)
    # Spark's timestamps are microseconds.
    schema = asked.schema.set(2, pa.field("event_timestamp", pa.timestamp("us", "UTC")))
    pq.write_table(asked.cast(schema), work.folder / "asked.parquet")
    spark = {
        "spark.master": f"local[{cores}]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "4g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": f"file:{work.folder}/warehouse",
    }
    config = {
        "project": "spark",
        "provider": PROVIDER,
        "registry": str(work.folder / "registry.db"),
        "offline_store": {"type": "spark", "spark_conf": spark},
        "online_store": {"type": "sqlite", "path": str(work.folder / "online.db")},
        "entity_key_serialization_version": 3,
    }
    (work.folder / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    FeatureStore(str(work.folder)).apply([USER, *embedding.feature_views().values()])


def retrieve(folder: Path, side: str) -> tuple[float, float, float]:
    """One retrieval to parquet.

    Returns:
        `(seconds, before, peak)`: the driver's resident MiB before it and at its peak.
    """
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session, store = _ready(folder)
    asked = session.read.parquet(str(folder / "asked.parquet"))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    began = time.perf_counter()
    job: Any = store.get_historical_features(asked, [f"{NAME}_v0:embedding"])
    target = folder / side
    if side == "lazy":
        storage = SavedDatasetSparkStorage(path=str(target), file_format="parquet")
        job.persist(storage, allow_overwrite=True)
    else:
        target.mkdir(exist_ok=True)
        pq.write_table(job.to_arrow(), target / "rows.parquet")
    spent = time.perf_counter() - began
    peak = _status("VmHWM")
    session.stop()
    return spent, before, peak


def _ready(folder: Path) -> tuple[Any, FeatureStore]:
    from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
        get_spark_session_or_start_new_with_repoconfig,
    )

    store = FeatureStore(str(folder))
    session = get_spark_session_or_start_new_with_repoconfig(store.config.offline_store)
    # What the first retrieval of a process imports and opens is no part of the growth.
    warm = session.read.parquet(str(folder / "asked.parquet")).limit(10)
    store.get_historical_features(warm, [f"{NAME}_v0:embedding"]).to_arrow()
    return session, store


def _status(name: str) -> float:
    """MiB of a line of this process's status; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    return int(line.split()[1]) / 1024


def check_equal(folder: Path, rows: int) -> None:
    """Both sides give every entity row the same vector."""
    one, other = (
        pq.read_table(folder / side, columns=["row", "embedding"]).sort_by("row") for side in SIDES
    )
    np.testing.assert_array_equal(np.asarray(one["row"]), np.arange(rows))
    lazy, collected = (
        np.asarray(table["embedding"].combine_chunks().flatten()) for table in (one, other)
    )
    np.testing.assert_allclose(lazy, collected, rtol=1e-4, atol=1e-4)


def main(arguments: argparse.Namespace) -> None:
    report = Report("historical_spark", arguments)
    with tempfile.TemporaryDirectory() as name:
        work = Workload(Path(name), arguments.entities, VERSIONS, arguments.dim)
        make_files(work, arguments.rows, arguments.cores)
        measured: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
        for _ in range(arguments.runs):
            for side in SIDES:
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    measured[side].append(pool.submit(retrieve, work.folder, side).result())
        check_equal(work.folder, arguments.rows)
        rows = []
        for side, runs in measured.items():
            seconds, before, peak = np.median(runs, axis=0).tolist()
            files = (work.folder / side).glob("*.parquet")
            size = sum(file.stat().st_size for file in files) / 2**20
            rows.append([side, seconds, peak - before, peak, size])
        report.table(
            f"{arguments.rows:,} entity rows, {VERSIONS} native versions of "
            f"{arguments.entities:,} entities x {arguments.dim}, local[{arguments.cores}]",
            HEADER,
            rows,
        )


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__, runs=1)
    made.add_argument("--rows", type=int, default=1_000_000, help="entity rows (%(default)s)")
    made.add_argument("--entities", type=int, default=100_000, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    made.add_argument("--cores", type=int, default=2, help="of Spark (%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
