"""The trade-off: what a method costs its own team against what it costs old consumers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from training.comparison.degradation import intended, interval, unintended
from training.report.canvas import Limits, canvas, label_near, limits, note_cut, save, style
from training.report.finished_run import FinishedRun
from training.report.look import INK, Look
from training.versions.methods import NO_BC


def draw_trade_off(
    run: FinishedRun, shown: dict[str, Look], tasks: Sequence[str], consumer: str, path: Path
) -> Path:
    """Write the PNG; there must be a task that counts."""
    across = _intervals(intended(run.found))
    up = _intervals(unintended(run.found, tasks, consumer))
    with style():
        figure = canvas(9.6, 5.6)
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.axvline(0, color=INK, linewidth=0.9)
        tall = _limits(up)
        wide = _limits(across)
        points, colors, bars = {}, {}, []
        for name in sorted(up, key=lambda n: shown[n].emphasised):
            look, (x, x_width), (y, y_width) = shown[name], across[name], up[name]
            text = name
            if name == NO_BC.name and tall.outside:
                spread = f" ± {y_width:.1f}" if y_width > 0 else ""
                text = f"{name}, off the scale: {y:.1f}{spread}".replace("-", "\N{MINUS SIGN}", 1)
                y = tall.low
            axes.errorbar(
                x,
                y,
                xerr=None if np.isnan(x_width) or x_width == 0 else x_width,
                yerr=None if np.isnan(y_width) or y_width == 0 or text != name else y_width,
                color=look.color,
                marker=look.marker,
                markersize=9 if look.emphasised else 6,
                elinewidth=1.8 if look.emphasised else 0.8,
                capsize=3,
                clip_on=text == name,
                zorder=3 if look.emphasised else 2,
            )
            points[text] = (x, y)
            x_bar, y_bar = np.nan_to_num([x_width, y_width if text == name else 0])
            bars += [(x - x_bar, y, x + x_bar, y), (x, y - y_bar, x, y + y_bar)]
            colors[text] = look.color
        axes.set_xlim(wide.low, wide.high)
        axes.set_ylim(tall.low, tall.high)
        if tall.cut or wide.cut:
            note_cut(axes)
        axes.set(
            title=f"Both losses, {consumer} consumers of v0: better is up and right",
            xlabel="intended: Recall@50 relative to NoBC, %",
            ylabel="unintended: AUROC relative to native v0, %",
        )
        axes.grid(True, axis="x")
        bars += [(wide.low, 0, wide.high, 0), (0, tall.low, 0, tall.high)]
        # The emphasised methods, drawn last, have the first choice of places.
        label_near(axes, dict(reversed(points.items())), colors, bars)
        return save(figure, path)


def _intervals(losses: pd.DataFrame) -> dict[str, tuple[float, float]]:
    return {str(method): interval(values.dropna()) for method, values in losses.items()}


def _limits(points: Mapping[str, tuple[float, float]]) -> Limits:
    means = {name: mean for name, (mean, _) in points.items()}
    return limits(means, {name: width for name, (_, width) in points.items()}, NO_BC.name)
