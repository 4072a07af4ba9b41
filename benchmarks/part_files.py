"""Materialization of native vectors in many part files, against the same vectors in one file.

Usage: python -m benchmarks.part_files [--entities N] [--versions N] [--files N] [--runs N]

Both sides materialize all version views into SQLite, from the same native vectors. "Over base" is
peak memory less that of a process that has opened the feature repo and done nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

from feast import FeatureStore

from benchmarks.harness import Report, paired, parser, peak_rss
from benchmarks.materialize import empty, materialize, online_config
from benchmarks.workload import PROVIDER, USER, Workload, make_store

HEADER = ("files", "s", "CPU s", "side/one", "CPU side/one", "peak MiB", "MiB over base")


def open_repo(folder: Path) -> None:
    """What every run does before it reads anything."""
    store = FeatureStore(str(folder))
    store.list_feature_views()
    store._get_provider().batch_engine  # noqa: B018


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("part_files", arguments)
    sizes = (arguments.entities, arguments.versions, arguments.dim)
    with tempfile.TemporaryDirectory() as scratch:
        works, cases = {}, {}
        for files in (1, arguments.files):
            folder = Path(scratch) / f"files_{files}"
            folder.mkdir()
            works[files] = work = Workload(folder, *sizes, files=files)
            views = work.embedding().feature_views().values()
            make_store(
                folder / "repo", PROVIDER, [USER, *views], online_config("sqlite", folder, "")
            )
            cases[str(files)] = partial(materialize, folder / "repo", work.after)

        def before() -> None:
            for work in works.values():
                empty("sqlite", work.folder, "")

        times = paired(cases, arguments.runs, before=before, warm=False)
        rows: list[list[object]] = []
        for files, work in works.items():
            before()
            side = str(files)
            peak = peak_rss(materialize, work.folder / "repo", work.after)
            base = peak_rss(open_repo, work.folder / "repo")
            cpu = sorted(times.cpu[side])[len(times.cpu[side]) // 2]
            ratios = (times.ratio(side, "1"), times.cpu_ratio(side, "1"))
            rows.append([side, times.median(side), cpu, *ratios, peak, peak - base])
        title = f"{sizes[1]} versions x {sizes[2]}, {sizes[0]} entities, SQLite"
        report.table(title, HEADER, rows)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__, runs=3)
    made.add_argument("--entities", type=int, default=1_000_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=3, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    made.add_argument("--files", type=int, default=20, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
