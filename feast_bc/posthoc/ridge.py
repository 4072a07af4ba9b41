"""Least squares with a penalty on the weights, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feast_bc.posthoc.metric import Double, multi_step_metric
from feast_bc.posthoc.moments import Moments
from feast_bc.transforms import AffineTransform, BackwardTransform

PENALTIES = (0.0, *(10.0**power for power in range(-8, 2)))
"""Penalties to choose among."""


def ridge(
    moments: Moments,
    *,
    from_version: int,
    to_version: int,
    penalty: float = 0.0,
    bias: bool = True,
    older: Sequence[BackwardTransform] = (),
) -> AffineTransform:
    """The affine map with the smallest loss + penalty * s * ||W||_F^2.

    The loss is the mean over entities of r^T M r with the residual r = y - W x - b; s is the mean
    variance of x's coordinates (without a bias, their mean square), so that a penalty means the
    same at any scale. M is the identity for the single-step loss, `multi_step_metric(older)` for
    the multi-step loss.

    Without a penalty both have the same minimum, as the residuals are orthogonal to x; `older`
    matters with one: directions that the older maps amplify are then shrunk less than others.

    Args:
        moments: of the entities to fit on.
        from_version, to_version: the direction; any two versions for a direct fit k -> j.
        penalty: relative, see above. 0 is least squares, with the smallest weights where the
            vectors do not span their space.
        bias: False for a map through the origin.
        older: B_{k-1}, ..., B_1 for the multi-step loss, newest first; affine.

    Raises:
        ValueError: a negative penalty.
        InvalidVectorsError: no entity to fit on.
        TypeError, DimensionError: as `multi_step_metric`.
    """
    if penalty < 0:
        raise ValueError(f"ridge: penalty must be at least 0, got {penalty}.")
    metric = multi_step_metric(older, moments.to_dim)
    weight = ridge_weight(moments, metric, penalty=penalty, bias=bias)
    return AffineTransform(
        weight,
        moments.intercept(weight) if bias else None,
        from_version=from_version,
        to_version=to_version,
    )


def ridge_weight(moments: Moments, metric: Double, *, penalty: float, bias: bool) -> Double:
    """W of `ridge` in float64, shape `(to_dim, from_dim)`, for any metric M.

    In the eigenvectors U of M the outputs part, and each is a ridge regression of its own, whose
    penalty is divided by the eigenvalue: (X^T X m_i + p I) W^T u_i = X^T Y u_i m_i.
    """
    gram, cross = moments.products(centred=bias)
    variances, inputs = np.linalg.eigh(gram)
    # Below float64's rounding a direction is noise: left out, as by a pseudo-inverse.
    spanned = variances > variances[-1] * len(gram) * np.finfo(np.float64).eps
    variances, inputs = variances[spanned], inputs[:, spanned]
    weights, outputs = np.linalg.eigh(metric)
    strength = penalty * np.trace(gram) / len(gram)
    shrunk = weights / (np.multiply.outer(variances, weights) + strength)
    weight: Double = outputs @ (shrunk * (inputs.T @ cross @ outputs)).T @ inputs.T
    return weight
