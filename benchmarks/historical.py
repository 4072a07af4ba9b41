"""Historical retrieval of version views, against stock Feast on precomputed tables.

Usage: python -m benchmarks.historical [--rows N] [--entities N] [--dim D] [--runs N]

Three native versions; both sides read through Feast's DuckDB store, to Arrow. Two workloads:

- history: entity rows of any time since version 0. Stock reads tables with each view's whole
  history (native rows before a cut-over, transformed ones after it).
- today: entity rows from after the last cut-over, and stock tables without the past: one row per
  entity. Nobody could train on earlier rows with those; it is stock's best case.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore

from benchmarks.harness import Report, paired, parser, peak_rss
from benchmarks.workload import PROVIDER, USER, Workload, computed, make_store

VERSIONS = 3
WORKLOADS = ("history", "today")
HEADER = (
    *("workload", "views", "stock s", "ours s", "ours/stock", "CPU ours/stock"),
    *("stock peak MiB", "ours peak MiB"),
)


def entity_rows(work: Workload, rows: int, workload: str) -> pd.DataFrame:
    """Rows of random entities and instants, each with its own number."""
    rng = np.random.default_rng(0)
    first = computed(0 if workload == "history" else work.versions - 1)
    span = (work.after - first) // timedelta(seconds=1)
    instants = np.datetime64(int(first.timestamp()), "s") + rng.integers(0, span, rows)
    frame: pd.DataFrame = pd.DataFrame(
        {
            "row": np.arange(rows),
            "user_id": rng.integers(0, work.entities, rows),
            "event_timestamp": pd.to_datetime(instants, utc=True),
        }
    )
    return frame


def make_stores(work: Workload) -> None:
    """Both sides' files, registries and tables."""
    make_store(work.folder / "ours", PROVIDER, [USER, *work.embedding().feature_views().values()])
    newest = work.versions - 1
    views = [
        work.precomputed(f"{workload}_v{j}", versions, j)
        for j in range(work.versions)
        for workload, versions in (("history", range(j, newest + 1)), ("today", [newest]))
    ]
    make_store(work.folder / "stock", "local", [USER, *views])


def retrieve(folder: Path, side: str, workload: str, views: int, frame: pd.DataFrame) -> pa.Table:
    """One retrieval of the oldest `views` views, in Arrow."""
    prefix = "user_embedding" if side == "ours" else workload
    store = FeatureStore(str(folder / side))
    return store.get_historical_features(
        frame,
        [f"{prefix}_v{j}:embedding" for j in range(views)],
        full_feature_names=True,
    ).to_arrow()


def check_equal(ours: pa.Table, stock: pa.Table, views: int) -> None:
    """Both sides give every entity row the same vectors."""
    stock = stock.sort_by("row")
    ours = ours.sort_by("row")
    for j in range(views):
        one, other = (
            np.asarray(
                table.column(table.column_names.index("event_timestamp") + 1 + j)
                .combine_chunks()
                .flatten()
            )
            for table in (ours, stock)
        )
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def main(arguments: argparse.Namespace) -> None:
    report = Report("historical", arguments)
    with tempfile.TemporaryDirectory() as name:
        work = Workload(Path(name), arguments.entities, VERSIONS, arguments.dim)
        make_stores(work)
        rows = []
        for workload in WORKLOADS:
            frame = entity_rows(work, arguments.rows, workload)
            for views in (1, VERSIONS):
                cases = {
                    side: partial(retrieve, work.folder, side, workload, views, frame)
                    for side in ("stock", "ours")
                }
                check_equal(cases["ours"](), cases["stock"](), views)
                times = paired(cases, arguments.runs)
                peaks = [
                    peak_rss(case) if arguments.memory else float("nan") for case in cases.values()
                ]
                rows.append(
                    [
                        workload,
                        views,
                        times.median("stock"),
                        times.median("ours"),
                        times.ratio("ours", "stock"),
                        times.cpu_ratio("ours", "stock"),
                        *peaks,
                    ]
                )
        report.table(
            f"{arguments.rows:,} entity rows, {VERSIONS} native versions of "
            f"{arguments.entities:,} entities x {arguments.dim}, DuckDB",
            HEADER,
            rows,
        )


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=200_000, help="entity rows (%(default)s)")
    made.add_argument("--entities", type=int, default=100_000, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=128, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
