"""How far transformed vectors are from native ones, for any transformation."""

from __future__ import annotations

import numpy as np

from feast_bc.posthoc.moments import Vectors
from feast_bc.transforms import BackwardTransform


def relative_error(transform: BackwardTransform, vectors: Vectors, native: Vectors) -> float:
    """||z~ - z||_F / ||z||_F, as `Moments.relative_error`, from the vectors themselves.

    So that chains with nonlinear members compare with direct fits.

    Args:
        transform: k -> j.
        vectors: z_k, shape `(n, D_k)`.
        native: z_j of the same entities, shape `(n, D_j)`.

    Raises:
        DimensionError: the transformation has other dimensions.
    """
    residual = transform.apply(vectors) - native
    return float(np.linalg.norm(residual) / np.linalg.norm(native))
