"""The area under a ROC curve with its errors: alone, against another, and over resamples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def delong(labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> tuple[float, float]:
    """AUROC and its standard error: DeLong et al. (1988), by midranks (Sun and Xu, 2014).

    Args:
        labels, scores: shape `(n,)`, both labels present at least twice.
    """
    below, above = _placements(labels, scores)
    variance = below.var(ddof=1) / len(below) + above.var(ddof=1) / len(above)
    return float(below.mean()), float(np.sqrt(variance))


def paired_delong(
    labels: npt.NDArray[np.bool_], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> float:
    """The standard error of AUROC(a) - AUROC(b) on the same rows (DeLong et al., 1988).

    Args:
        labels: shape `(n,)`, both labels present at least twice.
        a, b: scores of two models, shape `(n,)`.
    """
    below, above = (
        one - other
        for one, other in zip(_placements(labels, a), _placements(labels, b), strict=True)
    )
    return float(np.sqrt(below.var(ddof=1) / len(below) + above.var(ddof=1) / len(above)))


def resampled_aurocs(
    labels: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    weights: npt.NDArray[np.number],
) -> npt.NDArray[np.float64]:
    """The AUROC of every resample, ties counted half; NaN where a label is missing from it.

    Args:
        labels, scores: shape `(n,)`.
        weights: how often each row is in a resample, shape `(resamples, n)`.
    """
    order = np.argsort(scores)
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    sums = [
        np.add.reduceat((weights[:, order] * mask).astype(np.float64), starts, axis=1)
        for mask in (labels[order], ~labels[order])
    ]
    positive, negative = sums
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    found: npt.NDArray[np.float64] = np.divide(
        (positive * below).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0
    )
    return found


def _placements(
    labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Per positive the share of negatives below it, per negative that of positives above it."""
    positive, negative = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(positive)) / len(negative)
    above = 1 - (ranks[~labels] - rankdata(negative)) / len(positive)
    return below, above
