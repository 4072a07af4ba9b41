"""Materialization from PostgreSQL tables into Redis, and what it takes of memory.

Usage: python -m benchmarks.postgres_source [--entities N] [--versions N] [--dim D] [--runs N]

Every version's native vectors stand in a table of its own. "Over base" is peak memory less that of
the same task in a repo of ten entities: all imports are in the base. CPU is this process's: the
servers are others. "historical" joins every entity with all versions, and asks for every view.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from feast import FeatureStore
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
    PostgreSQLSource,
)

from benchmarks.harness import Report, paired, parser, peak_rss
from benchmarks.materialize import empty, materialize, online_vectors
from benchmarks.postgres_server import connect, postgres_server
from benchmarks.redis_server import RedisServer
from benchmarks.workload import NAME, PROVIDER, USER, Workload, make_store

HEADER = ("task", "s", "CPU s", "base MiB", "peak MiB", "MiB over base")


_FEW = 10


def table_of(name: str, work: Workload) -> str:
    return f"{name}_of_{work.entities}"


def fill(server: dict[str, Any], work: Workload) -> None:
    """Copy every version's file into a table."""
    with connect(server) as connection:
        for version in range(work.versions):
            file = pq.ParquetFile(work.folder / f"native_v{version}.parquet")
            name = table_of(f"native_v{version}", work)
            connection.execute(
                f"CREATE TABLE {name} "
                "(user_id bigint, event_timestamp timestamptz, embedding real[])"
            )
            copy = f"COPY {name} FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(copy) as rows:
                for batch in file.iter_batches(10_000):
                    columns = [column.to_pylist() for column in batch.columns]
                    for row in zip(*columns, strict=True):
                        rows.write_row(row)
            connection.execute(f"ANALYZE {name}")


def historical(folder: Path, work: Workload) -> None:
    """Every view's values of every entity after everything."""
    entities = pd.DataFrame({"user_id": np.arange(work.entities), "event_timestamp": work.after})
    refs = [f"{NAME}_v{version}:embedding" for version in range(work.versions)]
    FeatureStore(str(folder)).get_historical_features(
        entities, refs, full_feature_names=True
    ).to_arrow()


def check(folder: Path, work: Workload) -> None:
    """The first entity's values are the newest version's vector, in every view's space."""
    native = work.native(work.versions - 1, np.arange(min(work.entities, 100_000)))[:1]
    for view in range(work.versions):
        chain = work.chain(work.versions - 1, view)
        expected = native if chain is None else chain.apply(native)
        found = online_vectors(folder, [f"{NAME}_v{view}"], [0])[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def repo(folder: Path, work: Workload, redis: str, server: dict[str, Any]) -> Path:
    """A feature repo over tables with the workload's vectors."""
    folder.mkdir()
    tables = replace(work, folder=folder).embedding(
        lambda name, _: PostgreSQLSource(
            name=name, table=table_of(name, work), timestamp_field="event_timestamp"
        )
    )
    fill(server, replace(work, folder=folder))
    make_store(
        folder,
        PROVIDER,
        [USER, *tables.feature_views().values()],
        {"type": "redis", "connection_string": redis},
        {"type": "postgres", **server},
    )
    return folder


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("postgres_source", arguments)
    with (
        tempfile.TemporaryDirectory() as scratch,
        RedisServer(Path(scratch)) as redis,
        postgres_server(Path(scratch) / "postgres") as server,
    ):
        root = Path(scratch)
        many = Workload(root, arguments.entities, arguments.versions, arguments.dim)
        few = replace(many, entities=_FEW)
        folder = repo(root / "many", many, redis.address, server)
        base_folder = repo(root / "few", few, redis.address, server)
        cases = {
            "materialize": partial(materialize, folder, many.after),
            "historical": partial(historical, folder, many),
        }
        bases = {
            "materialize": partial(materialize, base_folder, few.after),
            "historical": partial(historical, base_folder, few),
        }

        def before() -> None:
            empty("redis", folder, redis.address)

        times = paired(cases, arguments.runs, before=before, warm=False)
        before()
        materialize(folder, many.after)
        check(folder, many)
        rows: list[list[object]] = []
        for task, case in cases.items():
            base = peak = float("nan")
            if arguments.memory:
                before()
                base = peak_rss(bases[task])
                before()
                peak = peak_rss(case)
            cpu = float(np.median(times.cpu[task]))
            rows.append([task, times.median(task), cpu, base, peak, peak - base])
        title = (
            f"{many.versions} versions x {many.dim}, {many.entities} entities, PostgreSQL -> Redis"
        )
        report.table(title, HEADER, rows)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__, runs=3)
    made.add_argument("--entities", type=int, default=100_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=3, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
