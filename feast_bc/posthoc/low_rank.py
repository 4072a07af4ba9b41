"""Reduced-rank regression: an affine map whose matrix has a small rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feast_bc.errors import DimensionError
from feast_bc.posthoc.metric import multi_step_metric
from feast_bc.posthoc.moments import Moments
from feast_bc.posthoc.ridge import ridge_weight
from feast_bc.transforms import AffineTransform, BackwardTransform


def low_rank(
    moments: Moments,
    rank: int,
    *,
    from_version: int,
    to_version: int,
    penalty: float = 0.0,
    bias: bool = True,
    older: Sequence[BackwardTransform] = (),
) -> AffineTransform:
    """The map of at most this rank with the smallest loss.

    Izenman, 1975; with a penalty: Mukherjee and Zhu, 2011. The loss is that of `ridge`, its
    penalty measured by M too: penalty * s * tr(M W W^T). The full rank is `ridge` with the
    single-step loss. A smaller one drops the directions in which the fitted vectors vary least;
    with `older` they are measured as the older spaces see them.

    Args:
        moments, from_version, to_version, penalty, bias, older: as for `ridge`.
        rank: from 1 to min(D_k, D_{k-1}).

    Raises:
        DimensionError: another rank.
        ValueError, InvalidVectorsError, TypeError: as `ridge`.
    """
    full = min(moments.from_dim, moments.to_dim)
    if not 1 <= rank <= full:
        raise DimensionError(
            f"low_rank: a map of {moments.from_dim} -> {moments.to_dim} has a rank from 1 to "
            f"{full}, got {rank}."
        )
    if penalty < 0:
        raise ValueError(f"low_rank: penalty must be at least 0, got {penalty}.")
    weight = ridge_weight(moments, np.eye(moments.to_dim), penalty=penalty, bias=bias)
    _, cross = moments.products(centred=bias)
    # The outputs in coordinates in which M is the identity.
    weights, outputs = np.linalg.eigh(multi_step_metric(older, moments.to_dim))
    straight = outputs * np.sqrt(weights)
    fitted = straight.T @ weight @ cross @ straight
    kept = np.linalg.eigh((fitted + fitted.T) / 2)[1][:, -rank:]
    weight = (outputs / np.sqrt(weights)) @ kept @ kept.T @ straight.T @ weight
    return AffineTransform(
        weight,
        moments.intercept(weight) if bias else None,
        from_version=from_version,
        to_version=to_version,
    )
