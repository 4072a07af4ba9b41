"""Lines over versions, one per method, labelled where they end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from training.report.canvas import label_right, limits, note_cut
from training.report.look import INK, Look
from training.report.series import Series
from training.versions.methods import KEEP_ALL, NO_BC


def draw_lines(axes: Axes, series: Mapping[str, Series], shown: Mapping[str, Look]) -> None:
    """Draw them; bands are intervals over seeds, of the emphasised methods only.

    Methods that are 0 everywhere share one label. NoBC runs off the axes where it would flatten the
    others; its label then says from where to where it goes.
    """
    zero = [name for name, s in series.items() if np.all(s.mean == 0)]
    rest = {name: s for name, s in series.items() if name not in zero}
    banded = {name for name, s in rest.items() if shown[name].emphasised}
    means = {name: s.mean for name, s in rest.items()}
    found = limits(means, {name: rest[name].width for name in banded}, NO_BC.name)
    axes.axhline(0, color=INK, linewidth=0.9)
    points, colors = {}, {}
    for name in sorted(rest, key=lambda n: shown[n].emphasised):
        one, look = rest[name], shown[name]
        text = name
        if name == NO_BC.name and found.outside:  # its line runs off the picture
            text = f"{name}, off the scale:\n{_number(one.mean.min())} to {_number(one.mean.max())}"
        axes.plot(
            one.versions,
            one.mean,
            color=look.color,
            linewidth=look.width,
            marker=look.marker,
            markersize=6 if look.emphasised else 4,
            zorder=3 if look.emphasised else 2,
        )
        if name in banded:
            edges = _edge(one, -1), _edge(one, 1)
            axes.fill_between(one.versions, *edges, color=look.color, alpha=0.13, linewidth=0)
        points[text] = (one.versions[-1], float(one.mean[-1]))
        colors[text] = look.color
    if zero:
        text = "0 by construction:\n" + _listed(zero)
        points[text] = (max(s.versions[-1] for s in series.values()), 0.0)
        colors[text] = INK
    axes.set_ylim(found.low, found.high)
    if found.cut:
        note_cut(axes)
    versions = next(iter(series.values())).versions
    axes.set_xticks(versions, [f"v{v}" for v in versions])
    axes.set_xlabel("newest version")
    label_right(axes, points, colors)


def _edge(series: Series, sign: int) -> npt.NDArray[np.float64]:
    return series.mean + sign * np.nan_to_num(series.width)


def _listed(names: list[str]) -> str:
    ordered = sorted(names, key=lambda name: name != KEEP_ALL)
    lines = [", ".join(ordered[i : i + 2]) for i in range(0, len(ordered), 2)]
    return ",\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.0f}".replace("-", "\N{MINUS SIGN}")
