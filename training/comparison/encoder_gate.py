"""Whether the encoder is good enough for its losses to mean anything, and the windows too."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from training.comparison.row import RECALL, TEST_USERS, VALIDATION_USERS
from training.tasks.recall import MOST_POPULAR, RECENTLY_POPULAR
from training.versions.methods import FIX_M0, NO_BC

FEW_USERS = 500
"""Below so many users a window's Recall@50 is mostly chance."""

_HURDLES = (MOST_POPULAR, RECENTLY_POPULAR, FIX_M0.name)


def hurdles(every: pd.DataFrame) -> dict[str, list[int]]:
    """By what retraining must beat: the windows in which it does not.

    NoBC's mean Recall@50 over seeds is held against most-popular and recently-popular in every
    window, and against the frozen M_0 in those after version 0. A ranking that was not run counts
    as not beaten.
    """
    recall = every[every["measure"] == RECALL]
    mean = recall.pivot_table("value", "method", "version")
    own = mean.loc[NO_BC.name]
    missed = {}
    for name in _HURDLES:
        windows = own.index[own.index > 0] if name == FIX_M0.name else own.index
        beaten = own[windows] > mean.loc[name, windows] if name in mean.index else own < 0
        missed[name] = [int(version) for version in windows if not beaten.get(version, False)]
    return missed


def is_sound(every: pd.DataFrame) -> bool:
    """Whether a degradation may be quoted: all hurdles are taken in every window."""
    return not any(hurdles(every).values())


def verdict_of(every: pd.DataFrame) -> str:
    """Whether the experiment may be quoted, and else what the encoder does not beat."""
    missed = {name: windows for name, windows in hurdles(every).items() if windows}
    if not missed:
        return (
            "The encoder beats most-popular and recently-popular in every window, and the frozen "
            "M_0 in every window after version 0."
        )
    lost = "; ".join(
        f"{name} in {', '.join(f'v{version}' for version in windows)}"
        for name, windows in missed.items()
    )
    return f"WARNING: the encoder does not beat {lost}. Quote no degradation from this experiment."


def users_of(every: pd.DataFrame) -> Iterator[str]:
    """How many users choose and judge, and a warning where they are few."""
    for measure, name in ((VALIDATION_USERS, "validation"), (TEST_USERS, "test")):
        rows = every[every["measure"] == measure]
        if rows.empty:
            continue
        counts = rows.groupby("version")["value"].first().astype(int)
        told = ", ".join(f"v{version}: {count:,}" for version, count in counts.items())
        few = counts.min() < FEW_USERS
        warning = f" WARNING: fewer than {FEW_USERS}: chance decides much." if few else ""
        yield f"Users with anything to be found in the {name} windows: {told}.{warning}"
