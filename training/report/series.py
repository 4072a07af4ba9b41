"""One number per method and version, with its interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.comparison.degradation import interval, of_consumers
from training.comparison.row import RECALL
from training.versions.methods import NO_BC


@dataclass(frozen=True)
class Series:
    """The numbers of one method; all of shape `(n,)`.

    Attributes:
        versions: k.
        mean: over seeds.
        width: half the 95 % interval over seeds; NaN for one seed.
    """

    versions: list[int]
    mean: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]


def intended_by_version(found: pd.DataFrame) -> dict[str, Series]:
    """100 (R - R_NoBC) / R_NoBC per version, paired by seed."""
    recall = found[found["measure"] == RECALL]
    table = recall.pivot_table("value", ["seed", "version"], "method", sort=False)
    reference = table[NO_BC.name]
    return _series(100 * table.sub(reference, axis=0).div(reference, axis=0))


def unintended_by_version(
    found: pd.DataFrame, tasks: Sequence[str], consumer: str
) -> dict[str, Series]:
    """100 (A - N) / N per version of v0's consumers, A and N means over tasks."""
    rows = of_consumers(found, consumer)
    rows = rows[rows["task"].isin(tasks)]
    keys = ["seed", "version", "method"]
    mean = rows.groupby(keys, sort=False)[["value", "native"]].mean()
    return _series((100 * (mean["value"] - mean["native"]) / mean["native"]).unstack("method"))


def measure_by_version(found: pd.DataFrame, measure: str, serves: int) -> dict[str, Series]:
    """Any measure towards version `serves`."""
    rows = found[(found["measure"] == measure) & (found["serves"] == serves)]
    return _series(rows.pivot_table("value", ["seed", "version"], "method", sort=False))


def _series(table: pd.DataFrame) -> dict[str, Series]:
    """From values by (seed, version) and method."""
    versions = sorted(int(v) for v in table.index.unique("version"))
    out = {}
    for method in table.columns:
        cells = [interval(table[method].xs(v, level="version").dropna()) for v in versions]
        mean, width = np.array(cells).T
        out[str(method)] = Series(versions, mean, width)
    return out
