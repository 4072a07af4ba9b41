"""PostgreSQL written and read directly, against Feast's own interface.

Usage: python -m benchmarks.online_writers [--entities N] [--versions N] [--dim D] [--runs N]

All sides write the same vectors of every version for the same entities, into empty tables of their
own in one server. Before anything is timed the rows are compared, all columns.

- direct: one transaction for all versions.
- as read: the same, of entities that are as they were read; the last version's vectors stand for
  the states. The reading is timed too.
- generic: Feast's `online_write_batch` per version; entity keys are made once.
- keys per view: the same, with entity keys made anew for each version.

Then both readers read all versions of some entities. CPU is this process's: the server is another.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from psycopg.sql import SQL, Identifier

from benchmarks.harness import Report, paired, paired_calls, parser
from benchmarks.postgres_server import connect, postgres_server
from benchmarks.workload import NAME, Workload, computed
from feast_bc.columns.entity_keys import entity_key_protos, key_types
from feast_bc.columns.instants import to_micros
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import VALUES, Request, Wanted
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import FeastWriter, Known, ViewValues
from feast_bc.views.stored_views import native_view

SIDES = ("direct", "as read", "generic", "keys per view")
WRITTEN = ("side", "values", "s", "CPU s", "values/CPU s", "keys per view/side", "of CPU")
READ = ("entities", "side", "p50 ms", "p99 ms", "CPU ms")


class Side:
    """An online store whose tables have a prefix of their own."""

    def __init__(self, name: str, server: dict[str, Any], views: Sequence[FeatureView]) -> None:
        self.config = RepoConfig(
            project=name.replace(" ", "_"),
            provider="local",
            registry="unused.db",
            online_store={"type": "postgres", **server},
            entity_key_serialization_version=3,
        )
        self.store = PostgreSQLOnlineStore()
        self.store.update(self.config, [], views, [], [], False)
        self.tables = [Identifier(f"{self.config.project}_{view.name}") for view in views]

    def writer(self, name: str) -> Callable[[pa.Table, Sequence[ViewValues]], None]:
        ours = writer_for(self.store, self.config)
        if name == "direct":
            return ours.write
        generic = FeastWriter(self.store, self.config)

        def view_by_view(keys: pa.Table, values: Sequence[ViewValues]) -> None:
            for each in values:
                generic.write(keys, [each])

        def as_read(keys: pa.Table, values: Sequence[ViewValues]) -> None:
            view = values[-1].view
            reader = reader_for_table(self.store, self.config, view, keys)
            known = Known(view, lambda: reader.read(Request((VALUES,)))[0])
            ours.update(keys, known, lambda _: values)

        return {"as read": as_read, "generic": generic.write}.get(name, view_by_view)


def fill(write: Callable[[pa.Table, Sequence[ViewValues]], None], batches: Any) -> None:
    for keys, values in batches:
        write(keys, values)


def make_batches(
    work: Workload, views: Sequence[FeatureView], size: int
) -> list[tuple[pa.Table, list[ViewValues]]]:
    """What the sides write."""
    batches = []
    for start in range(0, work.entities, size):
        ids = np.arange(start, min(start + size, work.entities))
        values = [
            ViewValues(
                view,
                np.arange(len(ids)),
                np.full(len(ids), to_micros(computed(version))),
                work.native(version, ids),
            )
            for version, view in enumerate(views)
        ]
        batches.append((pa.table({"user_id": ids}), values))
    return batches


def measure_writes(
    server: dict[str, Any], sides: dict[str, Side], batches: Any, arguments: argparse.Namespace
) -> list[list[object]]:
    cases = {name: partial(fill, side.writer(name), batches) for name, side in sides.items()}

    def empty() -> None:
        with connect(server) as connection:
            for side in sides.values():
                connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(side.tables)))

    for case in cases.values():
        case()
    with connect(server) as connection:
        for tables in zip(*(side.tables for side in sides.values()), strict=True):
            for other in tables[1:]:
                query = SQL("SELECT count(*) FROM ({} EXCEPT ALL {}) AS different")
                rows = [SQL("SELECT * FROM {}").format(table) for table in (tables[0], other)]
                counts = [
                    connection.execute(query.format(*pair)).fetchone()
                    for pair in (rows, rows[::-1])
                ]
                if counts != [(0,), (0,)]:
                    raise RuntimeError(f"{tables}: {counts} rows differ")
    times = paired(cases, arguments.runs, before=empty, warm=False)
    count = arguments.entities * arguments.versions
    table: list[list[object]] = []
    for name in cases:
        cpu = float(np.median(times.cpu[name]))
        ratios = times.ratio("keys per view", name), times.cpu_ratio("keys per view", name)
        table.append([name, count, times.median(name), cpu, count / cpu, *ratios])
    return table


def measure_reads(side: Side, view: FeatureView, arguments: argparse.Namespace) -> Any:
    request = Request(tuple(Wanted("natives", k) for k in range(arguments.versions)))
    table: list[list[object]] = []
    for size in arguments.batches:
        ids = np.random.default_rng(size).choice(arguments.entities, size, replace=False)
        keys = pa.table({"user_id": ids})
        protos = entity_key_protos(keys, key_types(view))
        direct = reader_for_table(side.store, side.config, view, keys)
        generic = StoreReader(side.store, side.config, view, protos)
        if list(map(list, direct.read(request))) != list(map(list, generic.read(request))):
            raise RuntimeError("the readers differ")
        cases = {"direct": direct, "generic": generic}
        found = paired_calls(
            {name: partial(reader.read, request) for name, reader in cases.items()},
            arguments.calls,
        )
        for name, latency in found.items():
            table.append([size, name, latency.p50, latency.p99, latency.cpu])
    return table


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("online_writers", arguments)
    with tempfile.TemporaryDirectory() as scratch, postgres_server(Path(scratch) / "db") as server:
        work = Workload(Path(scratch), arguments.entities, arguments.versions, arguments.dim)
        view = work.embedding(serving="on_read").feature_views()[f"{NAME}_v0"]
        views = [native_view(view, k) for k in range(arguments.versions)]
        sides = {name: Side(name, server, views) for name in SIDES}
        batches = make_batches(work, views, arguments.batch)
        title = f"{arguments.versions} versions x {arguments.dim}, PostgreSQL"
        report.table(
            f"written: {title}", WRITTEN, measure_writes(server, sides, batches, arguments)
        )
        fill(sides["direct"].writer("direct"), batches)
        report.table(f"read: {title}", READ, measure_reads(sides["direct"], view, arguments))
        for side in sides.values():
            side.store._conn.close()


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--entities", type=int, default=10_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=5, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    made.add_argument("--batch", type=int, default=10_000, help="entities written at once")
    made.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 500])
    made.add_argument("--calls", type=int, default=200, help="reads of each (%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
