"""A map for each part of the newer space."""

from __future__ import annotations

import numpy as np

from feast_bc.posthoc import centred_error
from tests.support.pairs import normal, pairs
from tests.support.presence import there
from training.maps.fits import Pairs
from training.maps.local_map import LocalMap

EVERYONE, NOBODY = np.ones(900, bool), np.zeros(900, bool)


def test_what_bends_is_mapped_better_in_parts() -> None:
    centres = 8 * normal(3, 5)
    part = np.arange(1200) % 3
    new = (centres[part] + normal(1200, 5, seed=1)).astype(np.float32)
    turned = np.stack([normal(5, 4, seed=2 + each) for each in range(3)])
    old = np.einsum("ni,nij->nj", new, turned[part]).astype(np.float32)
    local = LocalMap.fit(new[:900], old[:900], clusters=3)
    affine = Pairs(1, new[:900], old[:900], EVERYONE, NOBODY).least_squares()
    errors = [centred_error(each.apply(new[900:]), old[900:]) for each in (local, affine)]
    assert there(errors[0]) < 0.3 * there(errors[1])


def test_one_cluster_is_least_squares() -> None:
    new, old = (each.astype(np.float32) for each in pairs(900, 6, 4, noise=1.0))
    local = LocalMap.fit(new, old, clusters=1)
    affine = Pairs(1, new, old, EVERYONE, NOBODY).least_squares()
    np.testing.assert_allclose(local.apply(new), affine.apply(new), rtol=1e-3, atol=1e-3)


def test_far_and_few_vectors() -> None:
    new, old = (each.astype(np.float32) for each in pairs(20, 6, 4))
    found = LocalMap.fit(new, old, clusters=50).apply(1e6 * new)
    assert found.shape == (20, 4)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
