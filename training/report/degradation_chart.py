"""What every method costs its own team and the old consumers, version by version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.report.canvas import canvas, save, style
from training.report.finished_run import FinishedRun
from training.report.lines import draw_lines
from training.report.look import Look
from training.report.series import intended_by_version, unintended_by_version


def draw_degradation(
    run: FinishedRun, shown: dict[str, Look], tasks: Sequence[str], consumer: str, path: Path
) -> Path:
    """Write the PNG; without the right half where no task counts."""
    with style():
        figure = canvas(13.0 if tasks else 7.2, 4.6)
        axes = figure.subplots(1, 2 if tasks else 1, squeeze=False)[0]
        draw_lines(axes[0], intended_by_version(run.found), shown)
        axes[0].set(title="Intended task", ylabel="Recall@50 relative to NoBC, %")
        if tasks:
            draw_lines(axes[1], unintended_by_version(run.found, tasks, consumer), shown)
            title = f"Unintended tasks, {consumer} consumers of v0"
            axes[1].set(title=title, ylabel="AUROC relative to native v0, %")
        return save(figure, path)
