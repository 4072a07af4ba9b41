"""The best rotation: a map that keeps distances."""

from __future__ import annotations

import numpy as np

from feast_bc.posthoc.moments import Moments
from feast_bc.transforms import AffineTransform


def procrustes(moments: Moments, *, from_version: int, to_version: int) -> AffineTransform:
    """x -> Q (x - mean x) + mean y with Q = U V^T of the SVD sum (y - mean y)(x - mean x)^T.

    Q is orthogonal for equal dimensions (Schönemann, 1966; reflections are allowed). Into more
    dimensions its columns are orthonormal, and distances are kept, too; it is the least-squares
    optimum among such maps. Into fewer its rows are: it is the best rotation of x onto y followed
    by zeros, then cut off, and distances can only shrink.

    An error in version k is never amplified, so chains of such maps stay well conditioned. Single
    step only: the multi-step loss weighs directions, for which no closed form exists.

    Args:
        moments: of the entities to fit on.
        from_version, to_version: the direction.

    Raises:
        InvalidVectorsError: no entity to fit on.
    """
    _, cross = moments.products(centred=True)
    left, _, right = np.linalg.svd(cross.T, full_matrices=False)
    weight = left @ right
    return AffineTransform(
        weight, moments.intercept(weight), from_version=from_version, to_version=to_version
    )
