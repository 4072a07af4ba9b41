"""Memory of an online store: each serving, and what rollbacks cost that is served on read.

Usage: python -m benchmarks.online_memory [--entities N] [--versions N] [--dim D]
    [--rollbacks R ...]

Every version has a native row of every entity, and the newest serves all views. Redis tells its
memory (`used_memory` of INFO), less what it had when it was empty. After the runs on an empty store
the largest number of rollbacks is taken back to the smallest: a run then deletes what is no longer
needed. The bytes are those of all entities, keys and records included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from feast import FeatureStore

from benchmarks.harness import Report, parser
from benchmarks.materialize import materialize, online_vectors
from benchmarks.redis_server import RedisServer
from benchmarks.workload import NAME, PROVIDER, USER, Workload, make_store
from feast_bc.views.serving import MATERIALIZED, ON_READ

HEADER = ("serving", "rollbacks", "MiB", "bytes an entity", "to materialized")


def used(server: RedisServer) -> int:
    """Bytes that Redis has allocated."""
    with server.client() as client:
        memory: dict[str, Any] = client.info("memory")
        return int(memory["used_memory"])


def applied(folder: Path, work: Workload, online: dict[str, Any], **options: Any) -> FeatureStore:
    """The family in a repo of its own."""
    views = work.embedding(**options).feature_views().values()
    return make_store(folder, PROVIDER, [USER, *views], online)


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("online_memory", arguments)
    servings: list[tuple[str, int | None]] = [(MATERIALIZED, None)]
    servings += [(ON_READ, count) for count in arguments.rollbacks]
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as scratch, RedisServer(Path(scratch)) as server:
        work = Workload(Path(scratch), arguments.entities, arguments.versions, arguments.dim)
        online = {"type": "redis", "connection_string": server.address}
        views = [f"{NAME}_v{j}" for j in range(work.versions)]
        ids = [0, work.entities // 2, work.entities - 1]
        expected = None

        def measure(folder: Path, serving: str, told: str, empty: int) -> None:
            nonlocal expected
            materialize(folder, work.after)
            size = used(server) - empty
            found = online_vectors(folder, views, ids)
            expected = found if expected is None else expected
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
            first = size if not rows else float(str(rows[0][2])) * 2**20
            rows.append([serving, told, size / 2**20, size / work.entities, size / first])

        for serving, count in servings:
            with server.client() as client:
                client.flushall()
            empty = used(server)
            options = {} if count is None else {"rollback_versions": count}
            folder = Path(scratch) / f"{serving}_{count}"
            applied(folder, work, online, serving=serving, **options)
            measure(folder, serving, "-" if count is None else str(count), empty)
        counts = arguments.rollbacks
        applied(folder, work, online, serving=ON_READ, rollback_versions=min(counts))
        measure(folder, ON_READ, f"{counts[-1]}, then {min(counts)}", empty)
    title = f"redis: {work.entities:,} entities, {work.versions} versions x {work.dim}"
    report.table(title, HEADER, rows)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--entities", type=int, default=100_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=3, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    made.add_argument("--rollbacks", type=int, nargs="+", default=[0, 1, 2], help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
