"""What is left of neighbours and products, straight from the definitions."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import ortho_group

from feast_bc.publishing.geometry import (
    dot_product_correlation,
    mean_dominated,
    near_zero,
    neighbour_overlap,
    singular_values,
)
from feast_bc.transforms import AffineTransform, MLPTransform
from tests.support.presence import there

Z = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
NOISY = (Z + 0.3 * np.random.default_rng(1).normal(size=Z.shape)).astype(np.float32)


def test_a_rotation_keeps_neighbours_and_products() -> None:
    turned = Z @ ortho_group.rvs(6, random_state=0)
    assert there(neighbour_overlap(Z, turned)) > 0.999
    assert there(dot_product_correlation(Z, turned)) > 0.999


def test_the_overlap_is_that_of_a_loop() -> None:
    def nearest(vectors: npt.NDArray[np.float32], row: int) -> set[int]:
        cosines = vectors @ vectors[row] / np.linalg.norm(vectors, axis=1)
        order = np.argsort(-cosines)
        return set(order[order != row][:10].tolist())

    shares = [len(nearest(Z, i) & nearest(NOISY, i)) / 10 for i in range(len(Z))]
    assert there(neighbour_overlap(Z, NOISY)) == pytest.approx(np.mean(shares))
    assert 0.3 < np.mean(shares) < 0.9


def test_strangers_and_opposites() -> None:
    other = np.random.default_rng(2).normal(size=Z.shape)
    assert there(neighbour_overlap(Z, other)) < 0.1
    assert abs(there(dot_product_correlation(Z, other))) < 0.05
    stretched = Z * np.array([30, 1, 1, 1, 1, 1], np.float32)
    assert there(dot_product_correlation(Z, stretched)) < 0.6


def test_what_cannot_be_told() -> None:
    assert neighbour_overlap(Z[:19], Z[:19]) is None
    assert neighbour_overlap(np.zeros((40, 3)), np.zeros((40, 3))) is None
    assert dot_product_correlation(Z[:1], Z[:1]) is None
    assert dot_product_correlation(np.zeros((40, 3)), Z[:40, :3]) is None
    assert near_zero(Z[:0]) is None
    assert mean_dominated(Z[:0]) is None


def test_shares() -> None:
    some = Z.copy()
    some[:90] *= 1e-5
    assert near_zero(some) == 0.3
    assert near_zero(np.zeros((4, 2))) == 1.0
    assert mean_dominated(Z) == 0.0
    assert mean_dominated(Z + 100) == 1.0


def test_singular_values() -> None:
    weight = np.diag([3.0, 2.0, 0.5])[:, :3]
    turned = ortho_group.rvs(3, random_state=0) @ weight
    affine = AffineTransform(turned, from_version=1, to_version=0)
    assert there(singular_values(affine)) == pytest.approx((3, 0.5), rel=1e-5)
    mlp = MLPTransform(
        [(np.eye(3), np.zeros(3)), (np.eye(3), np.zeros(3))], from_version=1, to_version=0
    )
    assert singular_values(mlp) is None
