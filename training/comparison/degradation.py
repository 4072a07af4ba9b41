"""What a method costs: the paper's degradations, per seed, and their interval over seeds.

All frames here hold one `Row` per line with its `seed` and `method`. Formulas: the results
notebook of the paper's authors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from training.comparison.measurement import (
    AUROC,
    ERROR,
    HELD_OUT,
    LARGEST,
    MAP_PARAMETERS,
    RECALL,
    RELATIVE,
    SMALLEST,
    Row,
)
from training.tasks.recall import MOST_POPULAR
from training.versions.methods import FIX_M0, KEEP_ALL, NO_BC

CHANCE = 0.55
"""A task counts where the native consumer's interval lies above this AUROC."""

NORMAL = 1.96
"""Half the 95 % interval of a normal distribution, in standard deviations."""


def frame(rows: Mapping[tuple[int, str], Sequence[Row]]) -> pd.DataFrame:
    """One line per row; `Keep-All` is added: NoBC's models, but every old one serves itself."""
    lines = [
        {"seed": seed, "method": method, **asdict(row)}
        for (seed, method), some in rows.items()
        for row in some
    ]
    kinds = {"serves": "Int64", "native": "float64", "deviation": "float64"}
    found = pd.DataFrame(lines).astype(kinds)
    kept = found[found["method"] == NO_BC.name].assign(method=KEEP_ALL)
    kept = kept[~kept["measure"].isin([LARGEST, SMALLEST, MAP_PARAMETERS])]  # it has no maps
    kept["value"] = kept["value"].mask(kept["measure"] == AUROC, kept["native"])
    kept["value"] = kept["value"].mask(kept["measure"].isin([ERROR, RELATIVE, HELD_OUT]), 0.0)
    both: pd.DataFrame = pd.concat([kept, found], ignore_index=True)
    return both


def intended(found: pd.DataFrame) -> pd.DataFrame:
    """100 (R - R_NoBC) / R_NoBC, R the mean Recall@50 over versions; one column per method."""
    recall = found[found["measure"] == RECALL]
    mean = recall.pivot_table("value", "seed", "method", sort=False)
    reference = mean[NO_BC.name]
    percent: pd.DataFrame = 100 * mean.sub(reference, axis=0).div(reference, axis=0)
    return percent


def unintended(
    found: pd.DataFrame, tasks: Sequence[str], consumer: str, serves: int = 0
) -> pd.DataFrame:
    """100 (A - N) / N for consumers of version `serves`: a column per method, by seed.

    `consumer` is the kind of consumer model. A is the AUROC when served, N with native vectors of
    the same model on the same history; both means over the newest versions, then over tasks.
    """
    rows = of_consumers(found, consumer, serves)
    rows = rows[rows["task"].isin(tasks)]
    by_task = rows.groupby(["seed", "method", "task"], sort=False)[["value", "native"]].mean()
    mean = by_task.groupby(["seed", "method"], sort=False).mean()
    percent = 100 * (mean["value"] - mean["native"]) / mean["native"]
    by_method: pd.DataFrame = percent.unstack("method")
    return by_method


def alignment(found: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The error towards version 0, mean over versions: a column per method, by seed.

    As in the paper the mean is over all versions, version 0 with its error 0 among them.
    """
    if measure not in (ERROR, RELATIVE, HELD_OUT):
        raise ValueError(f"{measure!r} is no alignment error.")
    rows = found[(found["measure"] == measure) & (found["serves"] == 0)]
    total = rows.pivot_table("value", "seed", "method", aggfunc="sum", sort=False)
    mean: pd.DataFrame = total / found["version"].nunique()
    return mean


def of_consumers(found: pd.DataFrame, consumer: str, serves: int = 0) -> pd.DataFrame:
    """The AUROC of one kind of consumer models, born at version `serves`."""
    chosen = (found["measure"] == AUROC) & (found["serves"] == serves)
    rows: pd.DataFrame = found[chosen & (found["consumer"] == consumer)]
    return rows


def task_bounds(found: pd.DataFrame, consumer: str) -> pd.Series[float]:
    """By task: the lower end of the 95 % interval of the native v0 consumer's mean AUROC.

    A task counts for a kind of consumer model where this is above `CHANCE`.

    The windows share their users, so their errors are taken as one: the deviation of the mean
    is the mean of the deviations (DeLong), which is on the safe side.
    """
    rows = of_consumers(found, consumer)
    rows = rows[rows["method"] == FIX_M0.name]
    mean = rows.groupby("task", sort=False)[["native", "deviation"]].mean()
    bounds: pd.Series[float] = mean["native"] - NORMAL * mean["deviation"]
    return bounds


def counted_tasks(found: pd.DataFrame, consumer: str) -> list[str]:
    """The tasks that count for a kind of consumer model."""
    bounds = task_bounds(found, consumer)
    return list(bounds[bounds > CHANCE].index)


def consumers(found: pd.DataFrame) -> list[str]:
    """The kinds of consumer models, in the order of the experiment."""
    return list(found["consumer"].dropna().unique())


def births(found: pd.DataFrame, consumer: str) -> list[int]:
    """The versions that have consumers of their own."""
    rows = found[(found["measure"] == AUROC) & (found["consumer"] == consumer)]
    return [int(j) for j in sorted(rows["serves"].unique())]


def beats_most_popular(found: pd.DataFrame) -> bool:
    """Whether NoBC's mean Recall@50 is above most-popular's in every window."""
    recall = found[found["measure"] == RECALL]
    mean = recall.pivot_table("value", "method", "version")
    return bool((mean.loc[NO_BC.name] > mean.loc[MOST_POPULAR]).all())


def interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval over seeds (Student's t); NaN for one seed."""
    sample = np.asarray(values, np.float64)
    if len(sample) < 2:
        return float(sample.mean()), float("nan")
    width = student.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean()), float(width)
