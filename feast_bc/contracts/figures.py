"""The figure of a check or a model, for any weighting of its entities.

A weighting tells how often each entity counts: once, in a segment, or as a resample drew it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from feast_bc.catalog.contract import Metric
from feast_bc.errors import ContractError

Double = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

Figure = Callable[[Counts], float]
"""The figure where entity i counts so many times; NaN where it is not defined."""


def mean_of(values: Double) -> Figure:
    """The mean of a value per entity; NaN ones do not count."""
    filled = np.nan_to_num(values, nan=0.0)
    known = (~np.isnan(values)).astype(np.float64)

    def figure(counts: Counts) -> float:
        weights = counts.astype(np.float64)  # products of integers are slow
        total = float(weights @ known)
        return float(weights @ filled) / total if total else float("nan")

    return figure


def auc_of(scores: Double, truth: npt.NDArray[np.bool_]) -> Figure:
    """The area under the ROC curve, ties counted half."""
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]
    positive = truth[order].astype(np.float64)

    def figure(counts: Counts) -> float:
        weights = counts[order].astype(np.float64)
        yes, all_ = (np.add.reduceat(each, starts) for each in (weights * positive, weights))
        no = all_ - yes
        pairs = yes.sum() * no.sum()
        won = yes @ (no.cumsum() - no / 2)
        return float(won / pairs) if pairs else float("nan")

    return figure


def figure_of(
    metric: Metric, scores: Double, label: Double, threshold: float | None, *, of: str
) -> Figure:
    """A metric of scores, of shape `(n,)` or `(n, C)`, against labels of shape `(n,)`.

    Raises:
        ContractError: the scores do not fit the metric.
    """
    if metric == "auc":
        return auc_of(_one_score(scores, metric, of), label > 0.5)
    if metric == "accuracy":
        return mean_of((classes_of(scores, threshold, of=of) == label).astype(np.float64))
    errors = _one_score(scores, metric, of) - label
    return mean_of(errors**2 if metric == "mse" else np.abs(errors))


def classes_of(scores: Double, threshold: float | None, *, of: str) -> Double:
    """The class of each entity: of several scores the largest one's, of one whether it is a yes.

    Raises:
        ContractError: nothing says above which score it is a yes.
    """
    if scores.ndim == 2 and scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1), np.float64)
    if threshold is None:
        raise ContractError(
            f"{of} gives one score per entity; expected --threshold, above which it is a yes, or "
            "one score per class."
        )
    return np.asarray(scores.reshape(len(scores)) > threshold, np.float64)


def decisions_of(
    metric: Metric | None,
    native: Double,
    served: Double,
    label: Double | None,
    threshold: float | None,
) -> tuple[Double, Double] | None:
    """What the consumer decides with native and with served vectors, shape `(n,)` each.

    Of several scores the largest decides. One score is a yes above the threshold; for auc, where
    none is given, above the one that gives as many as there are positive labels. Values that are 0
    or 1 are decisions themselves. None where nothing tells what the consumer decides.
    """
    if native.ndim == 2 and native.shape[1] > 1:
        return native.argmax(axis=1).astype(np.float64), served.argmax(axis=1).astype(np.float64)
    flat = native.reshape(len(native)), served.reshape(len(served))
    if threshold is None and metric == "auc" and label is not None:
        threshold = float(np.quantile(flat[0], 1 - label.mean()))
    if threshold is not None:
        yes, then = (np.asarray(each > threshold, np.float64) for each in flat)
        return yes, then
    known = ~np.isnan(flat[0])
    if metric is None and all(np.isin(each[known], (0.0, 1.0)).all() for each in flat):
        return flat
    return None


def _one_score(scores: Double, metric: Metric, of: str) -> Double:
    if scores.ndim == 2 and scores.shape[1] == 2 and metric == "auc":
        return scores[:, 1] - scores[:, 0]
    if scores.ndim == 2 and scores.shape[1] != 1:
        raise ContractError(
            f"{of} gives {scores.shape[1]} scores per entity; expected one for {metric}."
        )
    return scores.reshape(len(scores))
