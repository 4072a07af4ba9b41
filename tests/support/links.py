"""Transformations of version k to version k - 1, with random weights, and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    MLPTransform,
    TruncationTransform,
)
from feast_bc.transforms.artifact import TransformRef, digest, dumps
from feast_bc.transforms.location import tensor_file


def affine(
    k: int, from_dim: int, to_dim: int, *, bias: bool = True, seed: int = 0
) -> AffineTransform:
    rng = np.random.default_rng(seed)
    return AffineTransform(
        rng.normal(size=(to_dim, from_dim)) / from_dim**0.5,
        rng.normal(size=to_dim) if bias else None,
        from_version=k,
        to_version=k - 1,
    )


def mlp(k: int, from_dim: int, to_dim: int, *, hidden: int = 5, seed: int = 0) -> MLPTransform:
    rng = np.random.default_rng(seed)
    return MLPTransform(
        [
            (rng.normal(size=(hidden, from_dim)) / from_dim**0.5, rng.normal(size=hidden)),
            (rng.normal(size=(to_dim, hidden)) / hidden**0.5, rng.normal(size=to_dim)),
        ],
        from_version=k,
        to_version=k - 1,
    )


def truncation(k: int, from_dim: int, to_dim: int) -> TruncationTransform:
    return TruncationTransform(from_version=k, to_version=k - 1, from_dim=from_dim, to_dim=to_dim)


def stored(transform: BackwardTransform, folder: Path) -> TransformRef:
    """Write a transformation below `folder` as a catalog does."""
    data = dumps(transform)
    file = folder / f"v{transform.from_version}" / tensor_file(digest(data))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return TransformRef(
        uri=str(file),
        sha256=digest(data),
        from_version=transform.from_version,
        to_version=transform.to_version,
        from_dim=transform.from_dim,
        to_dim=transform.to_dim,
    )
