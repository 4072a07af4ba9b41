"""What the pictures share: a style, labels beside what they name, and limits that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sklearn.isotonic import isotonic_regression

from training.report.look import GREY, INK

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # not in every release that is admitted

_STYLE: dict[RcKeyType, Any] = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#ECEEF1",
    "axes.axisbelow": True,
}


def canvas(width: float, height: float) -> Figure:
    """An empty figure in the report's style, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def style() -> AbstractContextManager[None]:
    """The report's style, while a picture is drawn."""
    return mpl.rc_context(_STYLE)


def save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=130)
    return path


@dataclass(frozen=True)
class Limits:
    """The limits of one axis.

    Attributes:
        low, high: where it ends.
        outside: whether the reference lies beyond.
        cut: whether an interval runs off the picture.
    """

    low: float
    high: float
    outside: bool
    cut: bool


def limits(
    values: Mapping[str, npt.ArrayLike], widths: Mapping[str, npt.ArrayLike], reference: str
) -> Limits:
    """Limits in which the methods can be told apart; 0 is always among them.

    Wide intervals, such as those of two seeds, are cut; so is a reference that is far off.

    Args:
        values: by method.
        widths: half the intervals, by method; NaN for none.
        reference: the method that may be left out.
    """
    others = [name for name in values if name != reference]
    low, high = _range({name: values[name] for name in others})
    span = max(high - low, 1e-6)
    outside = reference in values and bool(np.min(values[reference]) < low - 1.5 * span)
    drawn = others if outside else list(values)
    low, high = _range({name: values[name] for name in drawn})
    room = 0.5 * max(high - low, 1e-6)
    sides = {n: np.nan_to_num(np.asarray(widths[n], float)) for n in drawn if n in widths}
    lowest, highest = _range(
        {
            n: np.concatenate([np.ravel(values[n] - w), np.ravel(values[n] + w)])
            for n, w in sides.items()
        }
    )
    cut = lowest < low - room or highest > high + room
    low, high = max(min(low, lowest), low - room), min(max(high, highest), high + room)
    margin = 0.08 * max(high - low, 1e-6)
    return Limits(low - margin, high + margin, outside, cut)


def note_cut(axes: Axes) -> None:
    """Say that intervals run off the picture."""
    text = "some intervals run off the picture"
    axes.text(
        0.99,
        0.99,
        text,
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8.5,
        style="italic",
        color=INK,
    )


def _range(values: Mapping[str, npt.ArrayLike]) -> tuple[float, float]:
    flat = np.concatenate([[0.0], *(np.ravel(v) for v in values.values())])
    return float(flat.min()), float(flat.max())


def spread(values: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Places for labels within limits: in the order of the values, as near them as can be.

    No two labels overlap; the sum of the squared distances to the values is the smallest.

    Args:
        values: where the labels would best be centred.
        sizes: of each, in the same unit; all shrink alike where they do not fit.
        low, high: for the centres.
    """
    order = np.argsort(values, kind="stable")
    size = np.asarray(sizes, float)[order]
    steps = np.concatenate([[0.0], np.cumsum((size[1:] + size[:-1]) / 2)])
    steps *= min(1.0, (high - low) / max(steps[-1], 1e-9))
    # Labels keep their distance where their places, less the steps before them, do not descend.
    wanted = np.asarray(values, float)[order] - steps
    out = np.empty(len(order))
    out[order] = isotonic_regression(wanted, y_min=low, y_max=high - steps[-1]) + steps
    return [float(place) for place in out]


def label_right(
    axes: Axes, points: Mapping[str, tuple[float, float]], colors: Mapping[str, str]
) -> None:
    """Write each name right of the axes, at the height of its point, with a line to it.

    Args:
        axes: their limits must be final.
        points: by name, in data coordinates; those outside of the axes get no line.
        colors: by name.
    """
    low, high = axes.get_ylim()
    heights = [(y - low) / (high - low) for _, y in points.values()]
    places = spread(heights, [0.05 * (1 + name.count("\n")) for name in points], 0.0, 1.0)
    for (name, point), height, place in zip(points.items(), heights, places, strict=True):
        line = {
            "arrowstyle": "-",
            "color": colors[name],
            "lw": 0.6,
            "alpha": 0.6,
            "shrinkB": 3,
            "relpos": (0, 0.5),
        }
        axes.annotate(
            name,
            xy=point,
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=colors[name],
            annotation_clip=False,
            arrowprops=line if 0 <= height <= 1 else None,
        )


def label_near(
    axes: Axes,
    points: Mapping[str, tuple[float, float]],
    colors: Mapping[str, str],
    bars: Sequence[tuple[float, float, float, float]],
) -> None:
    """Write each name near its point, where it covers no other name, no point and no bar.

    Args:
        axes: their limits must be final.
        points: by name, in data coordinates.
        colors: by name.
        bars: lines to keep clear: x and y of one end, x and y of the other, in data coordinates.
    """
    whole = axes.figure.figure  # where the axes are in a part of a figure, the whole of it
    whole.draw_without_rendering()  # fixes the layout, which decides what overlaps
    pixels = {name: axes.transData.transform(point) for name, point in points.items()}
    inside = axes.get_window_extent()
    taken = [Bbox.from_extents(x - 7, y - 7, x + 7, y + 7) for x, y in pixels.values()]
    for x0, y0, x1, y1 in bars:
        (left, lower), (right, upper) = axes.transData.transform([(x0, y0), (x1, y1)])
        taken.append(Bbox.from_extents(left - 2, lower - 2, right + 2, upper + 2))
    for name, point in points.items():
        best = None
        for across, up in _OFFSETS:
            text = axes.annotate(
                name,
                xy=point,
                xytext=(across, up),
                textcoords="offset points",
                ha="left" if across > 0 else "right" if across < 0 else "center",
                va="center",
                fontsize=9,
                color=colors[name],
                arrowprops={"arrowstyle": "-", "color": colors[name], "lw": 0.6, "alpha": 0.6},
            )
            text.get_window_extent()  # moves the text to its place
            box = Text.get_window_extent(text)  # without the line to the point
            outside = not (inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1))
            overlaps = sum(box.overlaps(other) for other in taken) + 10 * outside
            if best is None or overlaps < best[0]:
                if best is not None:
                    best[1].remove()
                best = (overlaps, text, box)
            else:
                text.remove()
            if overlaps == 0:
                break
        if best is not None:
            taken.append(best[2])


_OFFSETS = [
    (round(distance * np.cos(turn)), round(distance * np.sin(turn)))
    for distance in (14, 26, 42, 62)
    for turn in np.radians((20, -20, 160, 200, 55, -55, 125, 235, 90, -90))
]
