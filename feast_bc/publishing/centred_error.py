"""How far transformed vectors are from native ones, measured against the native vectors' mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating]


def centred_error(mapped: Vectors, native: Vectors) -> float | None:
    """||z~ - z||_F / ||z - mean(z)||_F.

    0 is a perfect map; 1 is a map that knows no more of an entity than the mean vector does. The
    square is 1 - R^2, the share of the variance that the map does not explain. Without the mean
    taken off, any map to one constant vector looks good where vectors share a large mean.

    Args:
        mapped: z~, shape `(n, D)`, any float dtype.
        native: z of the same entities, shape `(n, D)`; the mean is theirs.

    Returns:
        None where all native vectors are equal, or there are none: nothing can be told then.
    """
    spread = _spread(native)
    return _length(mapped - native) / spread if spread else None


def error_of_mean(native: Vectors) -> float | None:
    """||z - mean(z)||_F / ||z||_F: the uncentred error of the mean vector alone.

    Near 0 the vectors share a large mean; at 1 they have none. Times the centred error it gives
    the uncentred one, ||z~ - z||_F / ||z||_F.

    Args:
        native: z, shape `(n, D)`, any float dtype.

    Returns:
        None where all vectors are 0, or there are none.
    """
    length = _length(native)
    return _spread(native) / length if length else None


def _spread(native: Vectors) -> float:
    """||z - mean(z)||_F."""
    if not len(native) or (native == native[0]).all():
        return 0.0  # exactly, however the mean would be rounded
    # Rounded to the vectors' own precision, so that a map to that mean has an error of exactly 1.
    mean = native.mean(axis=0, dtype=np.float64).astype(native.dtype)
    return _length(native - mean)


def _length(vectors: Vectors) -> float:
    """The Frobenius norm, summed in float64."""
    return float(np.sqrt(np.einsum("ij,ij->", vectors, vectors, dtype=np.float64)))
