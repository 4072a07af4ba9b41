"""How far the served vectors drift from native version 0 as versions follow each other."""

from __future__ import annotations

from pathlib import Path

from training.comparison.row import CENTRED_HELD_OUT
from training.report.canvas import canvas, save, style
from training.report.finished_run import FinishedRun
from training.report.lines import draw_lines
from training.report.look import Look
from training.report.series import measure_by_version


def draw_alignment(run: FinishedRun, shown: dict[str, Look], path: Path) -> Path:
    """Write the PNG."""
    with style():
        figure = canvas(8.6, 4.6)
        axes = figure.subplots()
        draw_lines(axes, measure_by_version(run.found, CENTRED_HELD_OUT, 0), shown)
        axes.set(
            title="Alignment error towards version 0, held-out entities",
            ylabel="||served - native|| / ||native||",
        )
        return save(figure, path)
