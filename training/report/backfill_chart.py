"""What old consumers get while the store is being filled with the newest version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from training.report.canvas import canvas, label_right, limits, note_cut, save, style
from training.report.look import INK, Look
from training.versions.methods import NO_BC


def draw_backfill(curve: pd.DataFrame, shown: Mapping[str, Look], path: Path) -> Path:
    """Write the PNG.

    Args:
        curve: see `training.comparison.compatibility.backfill_curve`.
        shown: the methods' looks; others are left out.
        path: the file.
    """
    places = [100 * float(share) for share in curve.index]
    methods = [name for name in curve.columns if name in shown]
    values = {name: curve[name].to_numpy() for name in methods}
    found = limits(values, {}, NO_BC.name)
    points, colors = {}, {}
    with style():
        figure = canvas(8.4, 4.6)
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.9)
        for name in sorted(methods, key=lambda n: shown[n].emphasised):
            look = shown[name]
            axes.plot(
                places,
                values[name],
                color=look.color,
                linewidth=look.width,
                marker=look.marker,
                markersize=6 if look.emphasised else 4,
            )
            points[name], colors[name] = (places[-1], float(values[name][-1])), look.color
        axes.set_ylim(found.low, found.high)
        if found.cut:
            note_cut(axes)
        axes.set_xlabel("entities on the newest version, %")
        axes.set_ylabel("AUROC relative to native v0, %")
        axes.set_title("While the newest version is being filled in")
        label_right(axes, points, colors)
        return save(figure, path)
