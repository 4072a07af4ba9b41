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

from training.comparison.row import (
    ASYMMETRIC,
    AUROC,
    BACKFILL,
    CENTRED,
    CENTRED_HELD_OUT,
    ERROR,
    FAMILY_ERROR,
    LARGEST,
    MAP_PARAMETERS,
    PROBE,
    RECALL,
    RETRAINED,
    SMALLEST,
    Row,
)
from training.versions.methods import FIX_M0, KEEP_ALL, NO_BC

Draws = npt.NDArray[np.float64]

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
    numbers = ("native", "deviation", "difference", "share")
    kinds = {"serves": "Int64", **dict.fromkeys(numbers, "float64")}
    found = pd.DataFrame(lines).astype(kinds)
    kept = found[found["method"] == NO_BC.name].assign(method=KEEP_ALL)
    kept = kept[~kept["measure"].isin([LARGEST, SMALLEST, MAP_PARAMETERS])]  # it has no maps
    kept = kept[~kept["measure"].isin([PROBE, RETRAINED, BACKFILL, ASYMMETRIC])]
    kept["value"] = kept["value"].mask(kept["measure"] == AUROC, kept["native"])
    served = kept["measure"] == AUROC
    kept.loc[served, "resampled"] = kept.loc[served, "resampled_native"]
    kept.loc[served, "difference"] = 0.0
    kept["value"] = kept["value"].mask(
        kept["measure"].isin([ERROR, CENTRED, CENTRED_HELD_OUT, FAMILY_ERROR]), 0.0
    )
    both: pd.DataFrame = pd.concat([kept, found], ignore_index=True)
    return both


def intended(found: pd.DataFrame, reference: str = NO_BC.name) -> pd.DataFrame:
    """100 (R - R_ref) / R_ref, R the mean Recall@50 over versions; one column per method."""
    recall = found[found["measure"] == RECALL]
    mean = recall.pivot_table("value", "seed", "method", sort=False)
    percent: pd.DataFrame = 100 * mean.sub(mean[reference], axis=0).div(mean[reference], axis=0)
    return percent


def unintended(
    found: pd.DataFrame, tasks: Sequence[str], consumer: str, serves: int = 0, chance: float = 0.0
) -> pd.DataFrame:
    """100 (A - N) / (N - chance) for consumers of version `serves`: a column per method, by seed.

    `consumer` is the kind of consumer model. A is the AUROC when served, N with native vectors of
    the same model on the same history; both means over the newest versions, then over tasks. With
    a `chance` of .5 it is the share of the skill that is lost: a percentage of the AUROC itself
    flatters near .5.
    """
    rows = of_consumers(found, consumer, serves)
    rows = rows[rows["task"].isin(tasks)]
    by_task = rows.groupby(["seed", "method", "task"], sort=False)[["value", "native"]].mean()
    mean = by_task.groupby(["seed", "method"], sort=False).mean()
    percent = 100 * (mean["value"] - mean["native"]) / (mean["native"] - chance)
    by_method: pd.DataFrame = percent.unstack("method")
    return by_method


def alignment(found: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The error towards version 0, mean over versions 1, 2, ...: a column per method, by seed.

    Version 0 itself, whose error is 0 by definition, does not count.
    """
    if measure not in (ERROR, CENTRED, CENTRED_HELD_OUT):
        raise ValueError(f"{measure!r} is no alignment error.")
    rows = found[(found["measure"] == measure) & (found["serves"] == 0)]
    mean: pd.DataFrame = rows.pivot_table("value", "seed", "method", sort=False)
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
    return list(found.loc[found["measure"] == AUROC, "consumer"].unique())


def births(found: pd.DataFrame, consumer: str) -> list[int]:
    """The versions that have consumers of their own."""
    rows = found[(found["measure"] == AUROC) & (found["consumer"] == consumer)]
    return [int(j) for j in sorted(rows["serves"].unique())]


def interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval over seeds (Student's t); NaN for one seed."""
    sample = np.asarray(values, np.float64)
    if len(sample) < 2:
        return float(sample.mean()), float("nan")
    width = student.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean()), float(width)


def with_users(per_seed: npt.ArrayLike, resampled: npt.ArrayLike) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95 % interval over seeds and users.

    The variances add up: that of the mean over seeds (Student's t), and that over resampled users
    or items, which all seeds share.

    Args:
        per_seed: shape `(seeds,)`; with one seed the interval is over users alone.
        resampled: the mean over seeds in every resample; empty where there are none.
    """
    mean, over_seeds = interval(per_seed)
    draws = np.asarray(resampled, np.float64)
    over_users = NORMAL * float(np.nanstd(draws, ddof=1)) if len(draws) > 1 else float("nan")
    widths = [width for width in (over_seeds, over_users) if width == width]
    return mean, float(np.sqrt(np.sum(np.square(widths)))) if widths else float("nan")


def resampled_intended(found: pd.DataFrame, method: str, reference: str) -> Draws:
    """`intended`, mean over seeds, in every resample of users; empty where there are none."""
    recall = found[found["measure"] == RECALL]
    means = [_draws(recall[recall["method"] == name], "resampled") for name in (method, reference)]
    if not all(len(mean) for mean in means):
        return np.empty(0)
    percent: Draws = 100 * (means[0] - means[1]) / means[1]
    return percent


def resampled_unintended(
    found: pd.DataFrame, tasks: Sequence[str], consumer: str, method: str, chance: float = 0.0
) -> Draws:
    """`unintended` of version 0's consumers, mean over seeds, in every resample."""
    rows = of_consumers(found, consumer)
    rows = rows[rows["task"].isin(tasks) & (rows["method"] == method)]
    served, native = _draws(rows, "resampled"), _draws(rows, "resampled_native")
    if not len(served) or not len(native):
        return np.empty(0)
    percent: Draws = 100 * (served - native) / (native - chance)
    return percent


def _draws(rows: pd.DataFrame, column: str) -> Draws:
    """The mean over rows in every resample."""
    if rows.empty or rows[column].isna().any():
        return np.empty(0)
    means: Draws = np.nanmean(np.stack([np.asarray(one) for one in rows[column]]), axis=0)
    return means
