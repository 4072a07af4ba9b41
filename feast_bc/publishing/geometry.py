"""What of the native vectors' geometry is left in the served ones, and what theirs is like."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feast_bc.publishing.ranks import rank_correlation
from feast_bc.transforms import BackwardTransform

Vectors = npt.NDArray[np.floating]

NEIGHBOURS = 10
_ASKED, _AMONG, _PAIRS = 500, 20_000, 20_000
_NEAR_ZERO = 1e-3
_MEAN_DOMINATED = 0.5


def neighbour_overlap(native: Vectors, served: Vectors, seed: int = 0) -> float | None:
    """The share of an entity's 10 nearest neighbours that it keeps, by cosine.

    The mean over entities of |N(z) and N(z~)| / 10, where N(z) are the nearest among all native
    vectors and N(z~) among all served ones. 500 entities are asked for, of 20,000 at most.

    Args:
        native: z, shape `(n, D)`, any float dtype.
        served: z~ of the same entities, shape `(n, D)`.
        seed: draws the sample.

    Returns:
        None for fewer than 20 entities, or where all native vectors are 0.
    """
    if len(native) < 2 * NEIGHBOURS:
        return None
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(native))[:_AMONG]
    old, new = _directions(native[rows]), _directions(served[rows])
    asked = np.flatnonzero(old.any(axis=1))[:_ASKED]  # a zero vector has no direction
    if not len(asked):
        return None
    both = [_nearest(vectors, asked) for vectors in (old, new)]
    kept = [len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(*both, strict=True)]
    return float(np.mean(kept)) / NEIGHBOURS


def dot_product_correlation(native: Vectors, served: Vectors, seed: int = 0) -> float | None:
    """Spearman's rank correlation of <z_a, z_b> and <z~_a, z~_b> over 20,000 random pairs.

    Args:
        native, served, seed: as for `neighbour_overlap`.

    Returns:
        None for fewer than two entities, or where all products are equal.
    """
    if len(native) < 2:
        return None
    rng = np.random.default_rng(seed)
    a = rng.integers(len(native), size=_PAIRS)
    b = (a + rng.integers(1, len(native), size=_PAIRS)) % len(native)
    products = [
        np.einsum("ij,ij->i", vectors[a], vectors[b], dtype=np.float64)
        for vectors in (native, served)
    ]
    return rank_correlation(*products)


def near_zero(native: Vectors) -> float | None:
    """The share of vectors shorter than a thousandth of the root mean square length.

    A tree asks on which side of a threshold a value lies; at zero the smallest bias decides.

    Returns:
        None where there are none.
    """
    if not len(native):
        return None
    squares = np.einsum("ij,ij->i", native, native, dtype=np.float64)
    return float((squares <= _NEAR_ZERO**2 * squares.mean()).mean())


def mean_dominated(native: Vectors) -> float | None:
    """The share of vectors that are nearer to the mean vector than half of its length.

    Where it is large, uncentred errors and cosines say little.

    Returns:
        None where there are none.
    """
    if not len(native):
        return None
    mean = native.mean(axis=0, dtype=np.float64)
    apart = np.linalg.norm(native - mean, axis=1)
    return float((apart < _MEAN_DOMINATED * np.linalg.norm(mean)).mean())


def singular_values(transform: BackwardTransform) -> tuple[float, float] | None:
    """The largest and the smallest singular value of W; None where the map is not affine."""
    affine = transform.as_affine()
    if affine is None:
        return None
    values = np.linalg.svd(affine.weight, compute_uv=False)
    return float(values[0]), float(values[-1])


def _directions(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    out: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return out


def _nearest(directions: Vectors, asked: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows of the 10 nearest of each, shape `(len(asked), 10)`."""
    cosines = directions[asked] @ directions.T
    cosines[np.arange(len(asked)), asked] = -np.inf  # not its own neighbour
    nearest: npt.NDArray[np.int64] = np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    return nearest
