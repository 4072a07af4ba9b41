"""Materialization of native vectors in many part files, against the same vectors in one file.

Usage: python -m benchmarks.part_files [--entities N] [--versions N] [--files N] [--runs N]

Both sides materialize all version views into SQLite, from the same native vectors. "Over base" is
peak memory less that of a process that has opened the feature repo and done nothing.

Then the same of other kinds of keys, and of versions that have their rows in orders of their own.
"B an entity" is what the peak grows by from half of the entities to all of them, in half as many
files and in all of them.
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
from benchmarks.workload import PROVIDER, Workload, make_store

HEADER = ("files", "s", "CPU s", "side/one", "CPU side/one", "peak MiB", "MiB over base")
GROWTH = ("keys", "order of rows", "MiB over base, half", "MiB over base", "B an entity")
KEYS, ORDERS = ("int64", "text"), ("the same", "shuffled")
_MIB = 2**20


def open_repo(folder: Path) -> None:
    """What every run does before it reads anything."""
    store = FeatureStore(str(folder))
    store.list_feature_views()
    store._get_provider().batch_engine  # noqa: B018


def apply(work: Workload) -> Path:
    """Write the native vectors and a feature repo over them."""
    views = work.embedding().feature_views().values()
    online = online_config("sqlite", work.folder, "")
    make_store(work.folder / "repo", PROVIDER, [work.entity, *views], online)
    return work.folder / "repo"


def over_base(work: Workload) -> tuple[float, float]:
    """MiB at the peak of a materialization, and how much of it is not the base's."""
    peak = peak_rss(materialize, work.folder / "repo", work.after)
    return peak, peak - peak_rss(open_repo, work.folder / "repo")


def measure_files(scratch: Path, arguments: argparse.Namespace) -> list[list[object]]:
    works, cases = {}, {}
    for files in (1, arguments.files):
        folder = scratch / f"files_{files}"
        folder.mkdir()
        sizes = (arguments.entities, arguments.versions, arguments.dim)
        works[files] = work = Workload(folder, *sizes, files=files)
        cases[str(files)] = partial(materialize, apply(work), work.after)

    def before() -> None:
        for work in works.values():
            empty("sqlite", work.folder, "")

    times = paired(cases, arguments.runs, before=before, warm=False)
    rows: list[list[object]] = []
    for files, work in works.items():
        before()
        side = str(files)
        peak, over = over_base(work)
        cpu = sorted(times.cpu[side])[len(times.cpu[side]) // 2]
        ratios = (times.ratio(side, "1"), times.cpu_ratio(side, "1"))
        rows.append([side, times.median(side), cpu, *ratios, peak, over])
    return rows


def measure_growth(scratch: Path, arguments: argparse.Namespace) -> list[list[object]]:
    rows: list[list[object]] = []
    for keys in KEYS:
        for order in ORDERS:
            found = []
            for part in (2, 1):  # the files stay as large as they are
                entities, files = arguments.entities // part, -(-arguments.files // part)
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    work = Workload(
                        Path(folder),
                        entities,
                        arguments.versions,
                        arguments.dim,
                        shuffled=order == "shuffled",
                        files=files,
                        text_keys=keys == "text",
                    )
                    apply(work)
                    found.append(over_base(work)[1])
            grown = (found[1] - found[0]) * _MIB / (arguments.entities - arguments.entities // 2)
            rows.append([keys, order, *found, grown])
    return rows


def main(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    report = Report("part_files", arguments)
    title = (
        f"{arguments.versions} versions x {arguments.dim}, {arguments.entities} entities, SQLite"
    )
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.runs:
            report.table(title, HEADER, measure_files(Path(scratch), arguments))
        if arguments.memory:
            growth = measure_growth(Path(scratch), arguments)
            report.table(f"{title}, {arguments.files} files", GROWTH, growth)


def command_line() -> argparse.ArgumentParser:
    made = parser(__doc__, runs=3)
    made.add_argument("--entities", type=int, default=1_000_000, help="(%(default)s)")
    made.add_argument("--versions", type=int, default=3, help="(%(default)s)")
    made.add_argument("--dim", type=int, default=64, help="(%(default)s)")
    made.add_argument("--files", type=int, default=20, help="(%(default)s)")
    return made


if __name__ == "__main__":
    main(command_line().parse_args())
