"""Whether a measure that needs no labels ranks methods as the consumers' own labels do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from training.comparison.degradation import of_consumers
from training.comparison.row import CENTRED_HELD_OUT, ERROR, PROBE
from training.versions.methods import FIX_M0, KEEP_ALL, METHODS, TWIN

PROBE_OF: Mapping[str, str] = {"logistic": "logistic", "mlp": "mlp", "boosting": "trees"}
"""The kind of probe consumer that stands for a kind of consumer model."""

_FEWEST = 4  # methods; a rank correlation of fewer says nothing


def rank_correlations(
    found: pd.DataFrame, consumer: str, tasks: Sequence[str], *, learned: bool
) -> dict[str, float]:
    """By measure: Spearman's correlation with the consumers' (A - .5) / (N - .5).

    Methods are ranked within each version and seed; the mean over those is given. The sign is
    such that 1 is best for every measure.

    Args:
        found: see `training.comparison.degradation.frame`.
        consumer: the kind of consumer model, born with version 0.
        tasks: those that count.
        learned: rank only methods whose maps are learned. Maps that cut coordinates off are so
            much worse that any measure tells them.
    """
    rows = of_consumers(found, consumer)
    rows = rows[rows["task"].isin(tasks)]
    keys = ["seed", "version", "method"]
    mean = rows.groupby(keys)[["value", "native"]].mean()
    measures = pd.DataFrame({"truth": (mean["value"] - 0.5) / (mean["native"] - 0.5)})
    for name, measure in (("centred error", CENTRED_HELD_OUT), ("the paper's error", ERROR)):
        some = found[(found["measure"] == measure) & (found["serves"] == 0)]
        measures[name] = -some.groupby(keys)["value"].mean()
    probes = found[found["measure"] == PROBE]
    by_kind = probes.groupby([*keys, "consumer"])["value"].mean().unstack("consumer")
    if not by_kind.empty:
        measures["probes of its kind"] = by_kind[PROBE_OF.get(consumer, "logistic")]
        measures["all probes"] = by_kind.mean(axis=1)
        measures["worst kind of probes"] = by_kind.min(axis=1)
    methods = measures.index.get_level_values("method")
    apart = {FIX_M0.name, KEEP_ALL, TWIN.name}
    if learned:
        apart |= {name for name, method in METHODS.items() if method.backward == "truncation"}
    measures = measures[~methods.isin(apart)]
    return {name: _mean_correlation(measures, name) for name in measures if name != "truth"}


def _mean_correlation(measures: pd.DataFrame, name: str) -> float:
    found = []
    for _, some in measures.groupby(["seed", "version"]):
        pair = some[["truth", name]].dropna()
        if len(pair) >= _FEWEST and (pair.nunique() > 1).all():
            found.append(float(spearmanr(pair["truth"], pair[name]).statistic))
    return float(np.mean(found)) if found else float("nan")
