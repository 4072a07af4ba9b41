"""The area under a ROC curve with its standard error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def delong(labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> tuple[float, float]:
    """AUROC and its standard error: DeLong et al. (1988), by midranks (Sun and Xu, 2014).

    Args:
        labels, scores: shape `(n,)`, both labels present at least twice.
    """
    positive, negative = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(positive)) / len(negative)
    above = 1 - (ranks[~labels] - rankdata(negative)) / len(positive)
    variance = below.var(ddof=1) / len(positive) + above.var(ddof=1) / len(negative)
    return float(below.mean()), float(np.sqrt(variance))
