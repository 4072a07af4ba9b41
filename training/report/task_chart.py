"""Every unintended task by itself: old consumers on what each method serves them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from training.comparison.degradation import (
    CHANCE,
    NORMAL,
    counted_tasks,
    interval,
    of_consumers,
    task_bounds,
)
from training.report.canvas import canvas, save, style
from training.report.finished_run import FinishedRun
from training.report.look import GREY, INK, PALE, Look, emphasised
from training.versions.methods import FIX_M0

_NATIVE = "native v0"
_NAMES = {_NATIVE: "native v0: the old model kept alive"}


def draw_tasks(run: FinishedRun, shown: dict[str, Look], consumer: str, path: Path) -> Path:
    """Write the PNG: bars from chance, mean over the newer versions; tasks that count first."""
    rows = of_consumers(run.found, consumer)
    counted = counted_tasks(run.found, consumer)
    apart = [task for task in task_bounds(run.found, consumer).index if task not in counted]
    tasks = [*counted, *apart]
    methods = emphasised(shown)
    bars = [_NATIVE, *methods]
    height = 0.8 / len(bars)
    with style():
        figure = canvas(9.6, 1.3 + 0.24 * len(bars) * len(tasks))
        axes = figure.subplots()
        for place, task in enumerate(tasks):
            faint = 1.0 if task in counted else 0.45
            for i, name in enumerate(bars):
                mean, width = _cell(rows[rows["task"] == task], name)
                at = place + (i - (len(bars) - 1) / 2) * height
                color = PALE if name == _NATIVE else shown[name].color
                axes.barh(
                    at,
                    mean - 0.5,
                    height * 0.92,
                    left=0.5,
                    color=color,
                    alpha=faint,
                    xerr=None if width != width else width,
                    error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
                    label=_NAMES.get(name, name) if place == 0 else None,
                )
                axes.text(
                    max(mean, 0.5) + (0 if width != width else width) + 0.004,
                    at,
                    f"{mean:.3f}",
                    va="center",
                    fontsize=8.5,
                    color=INK,
                    alpha=max(faint, 0.7),
                )
        if apart and counted:
            axes.axhline(len(counted) - 0.5, color=GREY, linewidth=1)
        names = [t if t in counted else f"{t}\n(listed apart)" for t in tasks]
        axes.set_yticks(range(len(tasks)), names)
        axes.set_ylim(len(tasks) - 0.45, -0.55)
        axes.axvline(0.5, color=INK, linewidth=0.9)
        axes.axvline(CHANCE, color=GREY, linewidth=0.9, linestyle=":")
        axes.set_title(f"{consumer} consumers of v0, task by task")
        axes.set_xlabel("AUROC (0.5: chance; dotted: the gate)")
        axes.grid(False)
        axes.margins(x=0.06)
        figure.legend(loc="outside lower left", ncols=len(bars), frameon=False, fontsize=9)
        return save(figure, path)


def _cell(rows: pd.DataFrame, name: str) -> tuple[float, float]:
    """Mean over newer versions, and half its interval: over seeds, or of native by DeLong."""
    if name == _NATIVE:
        own = rows[rows["method"] == FIX_M0.name]
        return float(own["native"].mean()), float(NORMAL * own["deviation"].mean())
    return interval(rows[rows["method"] == name].groupby("seed")["value"].mean())
