"""What Prometheus metrics cost an online read: endpoint closed, and open, against none at all.

Usage: python -m benchmarks.metrics [--batches N ...] [--calls N]

One process, Redis, version 0 from the newest version's vectors in both servings; calls in turns:

- none: the reads without the look whether a server measures.
- closed: as everywhere but in a server with an open endpoint.
- Feast's: the endpoint is open, and Feast alone measures.
- open: every call is counted by us too, its transformation timed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import feast.metrics
import numpy as np
from feast import FeatureStore

from benchmarks.harness import Report, paired_calls, parser
from benchmarks.redis_server import RedisServer
from benchmarks.workload import NAME, PROVIDER, USER, Workload, computed, make_store
from feast_bc import feast_internals
from feast_bc.online import on_read, store

VIEW = f"{NAME}_v0"
SERVINGS = ("materialized", "on_read")
HEADER = ("serving", "batch", "metrics", "p50 ms", "p50 to none", "CPU to none")
CLOSED, OPEN = feast.metrics._MetricsFlags(), feast.metrics.build_metrics_flags()


def sides(made: FeatureStore, ids: Callable[[], list[int]]) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""

    def read(look: Callable[[], bool], flags: object) -> object:
        feast.metrics._config = flags
        for module in (on_read, store):
            vars(module)["measures_reads"] = look
        rows = [{"user_id": i} for i in ids()]
        return made.get_online_features([f"{VIEW}:embedding"], rows)

    look = feast_internals.measures_reads

    return {
        "none": partial(read, lambda: False, CLOSED),
        "closed": partial(read, look, CLOSED),
        "Feast's": partial(read, lambda: False, OPEN),
        "open": partial(read, look, OPEN),
    }


def _ids(rng: np.random.Generator, entities: int, batch: int) -> list[int]:
    ids: list[int] = rng.integers(0, entities, batch).tolist()
    return ids


def main(arguments: argparse.Namespace) -> None:
    report = Report("metrics", arguments)
    rows: list[list[object]] = []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        work = Workload(Path(folder), arguments.entities, arguments.versions, arguments.dim)
        online = {"type": "redis", "connection_string": server.address}
        for serving in SERVINGS:
            views = work.embedding(serving=serving).feature_views().values()
            made = make_store(work.folder / serving, PROVIDER, [USER, *views], online)
            with (
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                made.materialize(computed(0), work.after)
            for batch in arguments.batches:
                draw = partial(_ids, rng, work.entities, batch)
                found = paired_calls(sides(made, draw), arguments.calls)
                for module in (on_read, store):
                    vars(module)["measures_reads"] = feast_internals.measures_reads
                feast.metrics._config = CLOSED
                none = found["none"]
                rows += [
                    [serving, batch, name, each.p50, each.p50 / none.p50, each.cpu / none.cpu]
                    for name, each in found.items()
                ]
    report.table(
        f"Online reads, {arguments.versions - 1} hops, {arguments.dim} dimensions, Redis, "
        f"{arguments.calls} calls each",
        HEADER,
        rows,
    )


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--entities", type=int, default=10_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=5, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    made.add_argument("--batches", type=int, nargs="+", default=[1, 100])
    made.add_argument("--calls", type=int, default=500, help="of each read (%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
