"""Which version serves which consumers, how far backfilling has come, and how age tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from training.comparison.degradation import of_consumers
from training.comparison.row import ASYMMETRIC, AUROC, BACKFILL, CENTRED_HELD_OUT, RECALL
from training.versions.methods import FIX_M0

MARGIN = 0.01
"""Within this share of native's AUROC a served version is not inferior."""


def compatibility_matrix(
    found: pd.DataFrame, method: str, task: str, consumer: str
) -> pd.DataFrame:
    """AUROC where version k (row) serves the consumers of version j (column).

    Mean over seeds, in the window after version k. The paper-like comparison M_kj > M_jj asks
    about two windows at once; so each cell has its native value in the same window beside it.

    Returns:
        Text cells "served (native)"; empty where k <= j.
    """
    rows = found[(found["measure"] == AUROC) & (found["method"] == method)]
    rows = rows[(rows["task"] == task) & (rows["consumer"] == consumer)]
    mean = rows.groupby(["version", "serves"])[["value", "native"]].mean()
    text = mean["value"].map("{:.3f}".format) + " (" + mean["native"].map("{:.3f}".format) + ")"
    table: pd.DataFrame = text.unstack("serves").fillna("")
    table.index = pd.Index([f"v{k} serves" for k in table.index])
    named: pd.DataFrame = table.rename(columns=lambda j: f"v{j}'s consumer")
    return named


def compatible_shares(
    found: pd.DataFrame, method: str, tasks: Sequence[str], consumer: str
) -> tuple[float, float]:
    """AC, and its non-inferiority form, over all pairs k > j and tasks.

    AC is the share of pairs where the served vectors beat native ones (the mean over seeds of
    A - N above 0). Non-inferior is a pair whose one-sided 95 % bound of A - N lies above -1 % of
    N; its error is that over seeds and, shared by the seeds, that over the rows judged (DeLong).
    """
    rows = found[(found["measure"] == AUROC) & (found["method"] == method)]
    rows = rows[rows["task"].isin(tasks) & (rows["consumer"] == consumer)]
    if rows.empty:
        return float("nan"), float("nan")
    rows = rows.assign(gain=rows["value"] - rows["native"])
    pairs = rows.groupby(["task", "version", "serves"])
    gain, native = pairs["gain"].mean(), pairs["native"].mean()
    over_seeds = (pairs["gain"].var(ddof=1) / pairs["gain"].count()).fillna(0)
    error = np.sqrt(over_seeds + pairs["difference"].mean() ** 2)
    bound = gain - _ONE_SIDED * error
    return float((gain > 0).mean()), float((bound > -MARGIN * native).mean())


_ONE_SIDED = 1.645  # standard deviations, 95 %


def backfill_curve(found: pd.DataFrame, tasks: Sequence[str], consumer: str) -> pd.DataFrame:
    """100 (A - N) / N of version 0's consumers by the share of entities on the newest version.

    Entities that are not there yet keep what version k-1 served, of its own instant. This is
    what incremental materialization goes through after a cut-over.

    Returns:
        Mean over seeds; a row per share, a column per method.
    """
    rows = found[(found["measure"] == BACKFILL) & (found["consumer"] == consumer)]
    rows = rows[rows["task"].isin(tasks)]
    own = of_consumers(found, consumer)
    own = own[(own["method"] == FIX_M0.name) & (own["version"] == found["version"].max())]
    native = own[own["task"].isin(tasks)].groupby("seed")["native"].mean()
    mean = rows.groupby(["share", "method", "seed"], sort=False)["value"].mean().unstack("seed")
    percent = 100 * mean.sub(native, axis=1).div(native, axis=1)
    table: pd.DataFrame = percent.mean(axis=1).unstack("method")
    return table


def asymmetric_retrieval(found: pd.DataFrame) -> pd.DataFrame:
    """Recall@50 of users of version k, served as version 0, against native version-0 items.

    Returns:
        Mean over seeds; a row per method, a column per version. Native users come first.
    """
    rows = found[found["measure"] == ASYMMETRIC]
    table = rows.pivot_table("value", "method", "version", sort=False)
    recall = found[(found["measure"] == RECALL) & (found["method"] == FIX_M0.name)]
    native = recall.groupby("version")["value"].mean().reindex(table.columns)
    native.name = "native v0 users"
    both: pd.DataFrame = pd.concat([native.to_frame().T, table.drop(FIX_M0.name, errors="ignore")])
    return both


def drift_by_age(found: pd.DataFrame) -> pd.DataFrame:
    """The centred error on held-out entities by how many updates k - j lie between.

    Returns:
        Mean over seeds and pairs of versions; a row per method, a column per age.
    """
    rows = found[found["measure"] == CENTRED_HELD_OUT]
    age = rows["version"] - rows["serves"]
    table: pd.DataFrame = rows.assign(age=age).pivot_table("value", "method", "age", sort=False)
    ordered: pd.DataFrame = table[sorted(table.columns)]
    return ordered
