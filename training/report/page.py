"""Finished runs as one HTML page that needs no other file, and its pictures as PNGs beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from feast_bc.page import page_template
from training.comparison.compatibility import backfill_curve
from training.comparison.degradation import consumers, counted_tasks
from training.comparison.encoder_gate import is_sound, users_of
from training.report import tables
from training.report.alignment_chart import draw_alignment
from training.report.backfill_chart import draw_backfill
from training.report.compared import (
    age_table,
    asymmetric_table,
    compared,
    matrices,
    ranking_table,
    shares_table,
)
from training.report.degradation_chart import draw_degradation
from training.report.finished_run import FinishedRun
from training.report.look import looks
from training.report.singular_value_chart import draw_singular_values
from training.report.statements import limits_of, says, verdict
from training.report.task_chart import draw_tasks
from training.report.trade_off_chart import draw_trade_off

PAGE = "report.html"

_DEFINITIONS = """\
Version k is trained at the end of its slice and judged in the window after it. Intended: mean
Recall@50 over versions, against NoBC (every version from scratch, no maps). Unintended: AUROC A of
consumer models trained on version 0 and frozen, against N with native version 0 on the same
history; mean over newer versions and over the tasks that pass the gate: (A - N) / N, and as skill
(A - N) / (N - .5). Keep-All keeps every old model alive: 0 by definition. Alignment error:
||served - native|| / ||native - mean|| towards version 0 on held-out entities, mean over versions
from 1 on; 1 is the mean vector's. ± is half the 95 % interval over seeds, paired by seed, and
resampled users or items; bands and bars in pictures are over seeds."""


@dataclass(frozen=True)
class Picture:
    """One PNG of the page."""

    title: str
    caption: str
    path: Path

    @property
    def data(self) -> str:
        return base64.b64encode(self.path.read_bytes()).decode()


def write_report(runs: Sequence[FinishedRun], folder: Path) -> Path:
    """Write `report.html` and `<experiment>-<picture>.png`, and return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = page_template(Path(__file__).with_name("page.html"))
    path = folder / PAGE
    path.write_text(
        page.render(
            definitions=_DEFINITIONS,
            overview=_html(tables.overview_table(runs)),
            runs=[_section(run, folder) for run in runs],
        )
    )
    return path


def _section(run: FinishedRun, folder: Path) -> dict[str, Any]:
    seconds, memory = tables.seconds_table(run), tables.peak_memory(run)
    return {
        "name": run.name,
        "newest": run.versions[-1],
        "sound": is_sound(run.every),
        "verdict": verdict(run),
        "says": list(says(run)),
        "limits": list(limits_of(run)),
        "users": list(users_of(run.every)),
        "summary": _html(tables.summary_table(run)),
        "compared": [compared(run, consumer) for consumer in consumers(run.found)],
        "ranking": _html(ranking_table(run)),
        "shares": _html(shares_table(run)),
        "matrices": [(title, _html(table)) for title, table in matrices(run)],
        "age": _html(age_table(run)),
        "asymmetric": _html(asymmetric_table(run)),
        "pictures": _pictures(run, folder),
        "recall": _html(tables.recall_table(run)),
        "gates": [
            {"consumer": consumer, "table": _html(tables.gate_table(run, consumer))}
            for consumer in consumers(run.found)
        ],
        "seconds": "" if seconds.empty else _html(seconds),
        "memory": f" Peak memory of the process: {memory:,.0f} MiB." if memory == memory else "",
        "storage": _html(tables.storage_table(run)),
        "settings": _html(tables.settings_table(run)),
    }


def _pictures(run: FinishedRun, folder: Path) -> list[Picture]:
    shown = looks(run)

    def path(name: str) -> Path:
        return folder / f"{run.name}-{name}.png"

    pictures = []
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        pictures.append(
            Picture(
                f"Degradation over versions, {consumer} consumers",
                "Mean over seeds; bands are 95 % intervals of the coloured methods.",
                draw_degradation(run, shown, counted, consumer, path(f"degradation-{consumer}")),
            )
        )
        if counted:
            pictures.append(
                Picture(
                    f"The trade-off, {consumer} consumers",
                    "Bars are 95 % intervals over seeds; the best own method is coloured because "
                    "these same numbers favour it.",
                    draw_trade_off(run, shown, counted, consumer, path(f"trade-off-{consumer}")),
                )
            )
        curve = backfill_curve(run.found, counted, consumer)
        if counted and not curve.empty:
            pictures.append(
                Picture(
                    f"Backfill, {consumer} consumers",
                    "After the last cut-over: the others still have what the version before "
                    "served, of its own instant. Mean over seeds.",
                    draw_backfill(curve, shown, path(f"backfill-{consumer}")),
                )
            )
        pictures.append(
            Picture(
                f"Task by task, {consumer} consumers",
                "Intervals of native v0: 95 % over the rows judged (DeLong), which decides the "
                "gate; of the methods: 95 % over seeds.",
                draw_tasks(run, shown, consumer, path(f"tasks-{consumer}")),
            )
        )
    pictures.append(
        Picture(
            "Alignment error over versions",
            "Users and items, entities that no alignment saw.",
            draw_alignment(run, shown, path("alignment")),
        )
    )
    pictures.append(
        Picture(
            "Singular values of the maps",
            "Largest and smallest per map, log scale, mean over seeds. Truncation is all ones.",
            draw_singular_values(run, shown, path("singular-values")),
        )
    )
    return pictures


def _html(table: pd.DataFrame) -> str:
    return str(
        table.rename_axis(index=None, columns=None).to_html(border=0)
    )  # pandas escapes the cells
