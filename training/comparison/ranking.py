"""Whether a measure that needs no labels ranks methods as the consumers' own labels do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from training.comparison.degradation import of_consumers
from training.comparison.row import FAMILY_ERROR, PROBE
from training.versions.methods import FIX_M0, METHODS, TWIN

PROBE_OF: Mapping[str, str] = {"logistic": "logistic", "mlp": "mlp", "boosting": "trees"}
"""The kind of probe consumer that stands for a kind of consumer model."""

CEILING = "the labels, resampled"
"""What nothing can be expected to exceed."""

ERRORS, OWN, ALL, WORST = (
    "centred error",
    "probes of its kind",
    "all probes",
    "worst kind of probes",
)

_FEWEST = 4  # methods; a rank correlation of fewer says nothing
_SOME = 20  # resamples
_KEYS = ["seed", "version", "family", "method"]


def rank_correlations(
    found: pd.DataFrame, consumer: str, tasks: Sequence[str], *, learned: bool
) -> dict[str, float]:
    """By measure: Spearman's correlation with the consumers' (A - .5) / (N - .5).

    Methods are ranked within each task, version and seed, by what the measure says of the family
    that the task looks at (of pairs: the mean of both); the mean over those is given. The sign is
    such that 1 is best for every measure. `CEILING` is what the labels themselves reach: the
    correlation with the same figure over resampled users or items.

    Args:
        found: see `training.comparison.degradation.frame`.
        consumer: the kind of consumer model, born with version 0.
        tasks: those that count.
        learned: rank only methods whose maps are learned. Maps that cut coordinates off are so
            much worse that any measure tells them.
    """
    apart = {FIX_M0.name, TWIN.name}
    if learned:
        apart |= {name for name, method in METHODS.items() if method.backward == "truncation"}
    ranked = set(METHODS) - apart
    rows = of_consumers(found, consumer)
    rows = rows[rows["task"].isin(tasks) & rows["method"].isin(ranked)]
    measures = _measures(found, consumer)
    correlations: dict[str, list[float]] = {name: [] for name in (*measures, CEILING)}
    for (seed, version, _), some in rows.groupby(["seed", "version", "task"]):
        truth = ((some["value"] - 0.5) / (some["native"] - 0.5)).set_axis(some["method"])
        family = some["family"].iloc[0]
        for name, said in measures.items():
            at = said[(said["seed"] == seed) & (said["version"] == version)]
            if isinstance(family, str):
                at = at[at["family"] == family]
            correlations[name].append(_correlation(truth, at.groupby("method")["said"].mean()))
        correlations[CEILING] += _with_resamples(some, truth)
    return {name: _mean(each) for name, each in correlations.items()}


def _measures(found: pd.DataFrame, consumer: str) -> dict[str, pd.DataFrame]:
    """By measure: `said` of each seed, version, family and method; the more the better."""
    errors = found[found["measure"] == FAMILY_ERROR]
    measures = {ERRORS: errors[_KEYS].assign(said=-errors["value"])}
    probes = found[found["measure"] == PROBE]
    kept = probes.groupby([*_KEYS, "consumer"])["value"].mean().unstack("consumer")
    if not kept.empty:
        for name, said in (
            (OWN, kept[PROBE_OF[consumer]]),
            (ALL, kept.mean(axis=1)),
            (WORST, kept.min(axis=1)),
        ):
            measures[name] = said.rename("said").reset_index()
    return measures


def _with_resamples(rows: pd.DataFrame, truth: pd.Series[float]) -> list[float]:
    """The correlation of the truth with that of some resamples; empty where there are none."""
    if rows["resampled"].isna().any():
        return []
    served = np.stack([np.asarray(draws)[:_SOME] for draws in rows["resampled"]])
    native = np.stack([np.asarray(draws)[:_SOME] for draws in rows["resampled_native"]])
    again = pd.DataFrame((served - 0.5) / (native - 0.5), index=truth.index)
    return [_correlation(truth, again[draw]) for draw in again]


def _correlation(truth: pd.Series[float], said: pd.Series[float]) -> float:
    pair = pd.DataFrame({"truth": truth, "said": said}).dropna()
    if len(pair) < _FEWEST or (pair.nunique() < 2).any():
        return float("nan")
    return float(spearmanr(pair["truth"], pair["said"]).statistic)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
