"""Random pairs of vectors for the tests of `feast_bc.posthoc`."""

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from feast_bc.posthoc import Moments
from feast_bc.transforms import AffineTransform

Vectors = npt.NDArray[np.float64]


class Hop(TypedDict):
    """Of which versions a transformation is."""

    from_version: int
    to_version: int


HOP: Hop = {"from_version": 2, "to_version": 1}


def normal(*shape: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=shape)


def pairs(n: int, from_dim: int, to_dim: int, noise: float = 0.3) -> tuple[Vectors, Vectors]:
    """z_k off the origin, and z_{k-1}: an affine map of it and noise."""
    vectors = normal(n, from_dim) * np.linspace(0.2, 2, from_dim) + 3
    previous = vectors @ normal(from_dim, to_dim, seed=1) - 5 + noise * normal(n, to_dim, seed=2)
    return vectors, previous


def moments(vectors: Vectors, previous: Vectors) -> Moments:
    found = Moments(vectors.shape[1], previous.shape[1])
    found.add(vectors, previous)
    return found


def older() -> list[AffineTransform]:
    """B_1 from 4 dimensions to 3, with very unequal singular values."""
    weight = normal(3, 4, seed=3) * [[10], [1], [0.1]]
    return [AffineTransform(weight, normal(3, seed=4), from_version=1, to_version=0)]
