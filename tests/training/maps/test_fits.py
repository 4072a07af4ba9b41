"""Each way to fit a hop does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from feast_bc.posthoc import Moments, centred_error, ridge
from feast_bc.transforms import compose
from tests.support.pairs import normal, pairs
from tests.support.presence import there
from training.maps.fits import FITS, Pairs, anchored

NEW, OLD = (each.astype(np.float32) for each in pairs(600, 6, 4, noise=2.0))
KNOWN, UNSEEN = np.arange(600) < 550, np.arange(600) % 10 == 3
PAIRS = Pairs(2, NEW, OLD, KNOWN, KNOWN & UNSEEN)
SEEN = KNOWN & ~UNSEEN


def values(way: str) -> np.ndarray:
    found: np.ndarray = np.linalg.svd(FITS[way](PAIRS).weight, compute_uv=False)
    return found


@pytest.mark.parametrize("way", FITS)
def test_it_maps_and_sees_no_held_out_entity(way: str) -> None:
    """But to choose by; not where it chooses."""
    found = FITS[way](PAIRS)
    assert (found.from_version, found.to_version) == (2, 1)
    error = there(centred_error(found.apply(NEW[UNSEEN]), OLD[UNSEEN]))
    assert error < (1.1 if way == "rotation" else 0.9)
    if way.startswith("ridge"):
        return
    other = np.where(UNSEEN[:, None], 100, OLD).astype(np.float32)
    again = FITS[way](Pairs(2, NEW, other, KNOWN, KNOWN & UNSEEN))
    np.testing.assert_allclose(again.weight, found.weight, rtol=1e-4, atol=1e-4)


def test_the_variance_is_restored() -> None:
    served = FITS["variance restored"](PAIRS).apply(NEW[SEEN])
    np.testing.assert_allclose(served.std(axis=0), OLD[SEEN].std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(served.mean(axis=0), OLD[SEEN].mean(axis=0), atol=1e-3)
    half = FITS["variance half restored"](PAIRS).apply(NEW[SEEN]).std(axis=0)
    plain = FITS["least squares"](PAIRS).apply(NEW[SEEN]).std(axis=0)
    np.testing.assert_allclose(half**2, plain * OLD[SEEN].std(axis=0), rtol=1e-3)


def test_singular_values() -> None:
    clipped = values("singular values clipped")
    assert clipped.max() <= 4.001 * clipped.min()
    plain, relaxed = values("least squares"), values("relaxed orthogonality")
    assert relaxed.max() / relaxed.min() < plain.max() / plain.min()


def test_the_anchored_hop_makes_up_for_an_older_one() -> None:
    behaviour = normal(300, 6)
    z0 = (behaviour @ normal(6, 3, seed=1) + 2).astype(np.float32)
    z1 = np.tanh(behaviour @ normal(6, 4, seed=2) / 3).astype(np.float32)
    z2 = (behaviour @ normal(6, 6, seed=3) - 3).astype(np.float32)
    seen = Moments(4, 3)
    seen.add(z1, z0)
    first = ridge(seen, from_version=1, to_version=0)
    everyone, nobody = np.ones(300, bool), np.zeros(300, bool)
    plain = Pairs(2, z2, z1, everyone, nobody).least_squares()
    found = anchored({1: (z2, z1), 0: (z2, z0)}, [first], 2)

    def lands(hop: object) -> float:
        return there(centred_error(compose([hop, first]).apply(z2), z0))  # type: ignore[list-item]

    assert lands(found) < 0.8 * lands(plain)
    alone = anchored({1: (z2, z1)}, [first], 2)
    np.testing.assert_allclose(alone.weight, plain.weight, rtol=1e-3, atol=1e-3)
