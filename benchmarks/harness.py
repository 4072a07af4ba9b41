"""What the benchmarks share: paired runs, tables of medians and ratios, JSON, peak memory."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
from tabulate import tabulate


@dataclass(frozen=True)
class Times:
    """Seconds of each case, one entry per round.

    Attributes:
        wall: elapsed.
        cpu: spent by this process on all its cores; what other processes do hardly moves it.
    """

    wall: Mapping[str, list[float]]
    cpu: Mapping[str, list[float]]

    def median(self, case: str) -> float:
        return float(np.median(self.wall[case]))

    def ratio(self, case: str, to: str) -> float:
        """The median over the rounds of `case / to`, both from the same round."""
        return float(np.median(np.divide(self.wall[case], self.wall[to])))

    def cpu_ratio(self, case: str, to: str) -> float:
        """As `ratio`, of processor time."""
        return float(np.median(np.divide(self.cpu[case], self.cpu[to])))


OUTPUT = Path("runs/benchmarks")


@dataclass(frozen=True)
class Latency:
    """Milliseconds that half, and 99 in 100, of the calls stay under.

    `cpu` is the median of this process's processor time; NaN where another process works.
    """

    p50: float
    p99: float
    cpu: float = float("nan")

    @classmethod
    def of(cls, seconds: Sequence[float], cpu: Sequence[float] = ()) -> Latency:
        p50, p99 = 1000 * np.percentile(seconds, [50, 99])
        return cls(float(p50), float(p99), 1000 * float(np.median(cpu or [np.nan])))


def parser(doc: str | None, *, runs: int = 5) -> argparse.ArgumentParser:
    """An argument parser with what every benchmark takes."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--runs", type=int, default=runs, help="measured rounds (%(default)s)")
    made.add_argument(
        "--output", type=Path, default=OUTPUT, help="folder of the JSON (%(default)s)"
    )
    made.add_argument(
        "--memory",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure peak memory, in a process per figure",
    )
    return made


def paired(
    cases: Mapping[str, Callable[[], object]],
    runs: int,
    *,
    before: Callable[[], object] | None = None,
    warm: bool = True,
    collect: bool = True,
) -> Times:
    """Time the cases in turns, so that whatever else the machine does falls on all of them.

    Every round has a random order of its own: what a case leaves behind (threads that still spin,
    cold caches) falls on another one each time.

    Args:
        cases: what to time, by name.
        runs: measured rounds.
        before: runs before each timing, outside it.
        warm: whether one unmeasured round goes first.
        collect: whether garbage is collected before each timing, outside it.
    """
    names = list(cases)
    times = Times({name: [] for name in names}, {name: [] for name in names})
    order = np.random.default_rng(0)
    for i in range(-1 if warm else 0, runs):
        for name in order.permutation(names).tolist():
            if before:
                before()
            if collect:
                gc.collect()
            began, cpu = time.perf_counter(), time.process_time()
            cases[name]()
            spent, worked = time.perf_counter() - began, time.process_time() - cpu
            if i >= 0:
                times.wall[name].append(spent)
                times.cpu[name].append(worked)
    return times


def paired_calls(cases: Mapping[str, Callable[[], object]], calls: int) -> Mapping[str, Latency]:
    """Time single calls of the cases in turns.

    Args:
        cases: what to time, by name.
        calls: measured calls of each.
    """
    times = paired(cases, calls, collect=False)
    return {name: Latency.of(times.wall[name], times.cpu[name]) for name in cases}


def peak_rss(function: Callable[..., object], *arguments: object) -> float:
    """MiB of resident memory at the peak of a call, in a process of its own; NaN off Linux.

    Args:
        function: a module-level function; it and its arguments are sent to a new interpreter.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, function, arguments).result()


def _peak(function: Callable[..., object], arguments: Sequence[object]) -> float:
    function(*arguments)
    # Not getrusage: its maximum survives exec, and would be the parent's.
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return float("nan")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


class Report:
    """Prints tables as they come and keeps them for one JSON file.

    Args:
        name: of the benchmark; the file's name.
        arguments: the parsed command line; holds `output`, and the sizes.
    """

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self._path: Path = arguments.output / f"{name}.json"
        self._content: dict[str, Any] = {
            "benchmark": name,
            "arguments": {key: str(value) for key, value in vars(arguments).items()},
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "tables": [],
        }

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print one table, and add it to the file; numbers are kept as they are."""
        cells = [[_cell(value) for value in row] for row in rows]
        sides = ["left", *["right"] * (len(columns) - 1)]
        text = tabulate(cells, columns, "plain", colalign=sides, disable_numparse=True)
        print(title, indent(text, "  "), "", sep="\n", flush=True)
        self._content["tables"].append(
            {"title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._content, indent=1) + "\n")


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
