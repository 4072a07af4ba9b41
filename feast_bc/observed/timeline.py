"""Who serves each view since when, as bars on one axis of event time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WIDTH, LABELS, ROW = 960, 190, 34
"""In the picture's units: all of it, the views' names at its left, one view."""

_MARGIN = 0.12
"""Of the axis, before the first and after the last instant that is told."""


@dataclass(frozen=True)
class Bar:
    """One version serving one view for a while.

    Attributes:
        x, y, width: its place.
        version: which version serves.
        told: the same in words.
    """

    x: float
    y: float
    width: float
    version: int
    told: str


@dataclass(frozen=True)
class Tick:
    """An instant on the axis, at `x`, and on which of the lines of text it stands."""

    x: float
    label: str
    line: int


@dataclass(frozen=True)
class Timeline:
    """The picture.

    Attributes:
        names: per view its name and its y.
        bars: all periods.
        ticks: the instants at which anything changes, and now.
        now: where now is.
        height: of the views alone.
    """

    names: tuple[tuple[str, float], ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    now: float
    height: int


def timeline(views: Sequence[Mapping[str, Any]], at: str) -> Timeline:
    """Lay out the periods of views, as `overview` has them; `at` is now."""
    told = {p[end] for view in views for p in view["periods"] for end in ("since", "until")}
    instants = sorted({*(_seconds(each) for each in told if each), _seconds(at)})
    margin = max((instants[-1] - instants[0]) * _MARGIN, 86_400.0)
    start, end = instants[0] - margin, instants[-1] + margin

    def place(seconds: float) -> float:
        return round(LABELS + (WIDTH - LABELS) * (seconds - start) / (end - start), 1)

    bars, names = [], []
    for i, view in enumerate(views):
        names.append((view["view"], i * ROW + ROW / 2))
        for period in view["periods"]:
            left = place(start if period["since"] is None else _seconds(period["since"]))
            right = place(end if period["until"] is None else _seconds(period["until"]))
            bars.append(
                Bar(
                    left, i * ROW + 4, round(right - left, 1), period["from_version"], words(period)
                )
            )
    ticks: list[Tick] = []
    for seconds in instants:
        x = place(seconds)
        day = datetime.fromisoformat(at).fromtimestamp(seconds, datetime.fromisoformat(at).tzinfo)
        near = sum(1 for other in ticks if x - other.x < 90)
        ticks.append(Tick(x, f"{day:%Y-%m-%d}", near % 3))
    return Timeline(tuple(names), tuple(bars), tuple(ticks), place(_seconds(at)), len(views) * ROW)


def words(period: Mapping[str, Any]) -> str:
    """A period, such as "v2 since 2026-02-01T00:00:00+00:00"."""
    since = f" since {period['since']}" if period["since"] else " from the beginning"
    until = f" until {period['until']}" if period["until"] else ""
    return f"v{period['from_version']}{since}{until}"


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
