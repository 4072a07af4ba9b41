"""Ranks with ties."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Double = npt.NDArray[np.float64]


def midranks(values: npt.NDArray[np.floating]) -> Double:
    """The rank of each value from 1; equal values share the mean of their ranks. Shape `(n,)`."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Double = (count.cumsum() - (count - 1) / 2)[place]
    return ranks


def rank_correlation(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float | None:
    """Spearman's: the correlation of the ranks of two arrays of shape `(n,)`.

    Returns:
        None where one of them holds equal values only, or fewer than two.
    """
    if len(a) < 2:
        return None
    ranks = [midranks(each) - (len(a) + 1) / 2 for each in (a, b)]
    lengths = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum() / lengths) if lengths else None
