"""How much an error in version k-1's space weighs in the multi-step loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feast_bc.errors import DimensionError
from feast_bc.transforms import BackwardTransform

Double = npt.NDArray[np.float64]


def multi_step_metric(older: Sequence[BackwardTransform], dim: int) -> Double:
    """M, such that the multi-step loss of residuals r is proportional to the mean of r^T M r.

    With A_j = W_{j+1} ... W_{k-1} (A_{k-1} = I), M is the sum of A_j^T A_j / D_j over j, scaled
    to a mean eigenvalue of 1: without older maps it is the identity.

    Args:
        older: B_{k-1}, ..., B_1, the newest first; affine maps or truncations.
        dim: D_{k-1}.

    Returns:
        float64, symmetric and positive definite, shape `(dim, dim)`.

    Raises:
        DimensionError: neighbours disagree on the dimension between them.
        TypeError: a map that is not affine; only `fit_mlp` takes such.
    """
    through = np.eye(dim)
    metric = through / dim
    for map_ in older:
        affine = map_.as_affine()
        if affine is None:
            raise TypeError(
                f"{map_!r} is not affine: no closed form minimises the multi-step loss through it. "
                "Use feast_bc.posthoc.mlp.fit_mlp, or leave `older` out."
            )
        if affine.from_dim != len(through):
            raise DimensionError(
                f"{map_!r} takes {affine.from_dim} dimensions and gets {len(through)}. Pass "
                "B_{k-1}, ..., B_1, the newest first."
            )
        through = affine.weight @ through
        metric += through.T @ through / len(through)
    scaled: Double = metric * (dim / np.trace(metric))
    return scaled
