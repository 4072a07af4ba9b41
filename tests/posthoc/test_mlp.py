"""The post-hoc multilayer perceptron."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc import centred_error, ridge
from feast_bc.posthoc.mlp import fit_mlp
from feast_bc.transforms import BackwardTransform, MLPTransform
from tests.support.pairs import HOP, moments, normal
from tests.support.presence import there

VECTORS = normal(400, 5)
PREVIOUS = np.maximum(VECTORS @ normal(5, 3, seed=1), 0)
HELD_OUT = np.arange(400) % 4 == 0


def fit(**options: Any) -> MLPTransform:
    return fit_mlp(VECTORS, PREVIOUS, HELD_OUT, **HOP, hidden=[16], **options)


def on_held_out(transform: BackwardTransform) -> float:
    return there(centred_error(transform.apply(VECTORS[HELD_OUT]), PREVIOUS[HELD_OUT]))


def test_it_learns_what_no_affine_map_can() -> None:
    affine = ridge(moments(VECTORS[~HELD_OUT], PREVIOUS[~HELD_OUT]), **HOP)
    assert on_held_out(fit(epochs=30, batch=50, learning_rate=0.01)) < on_held_out(affine) / 2


def test_without_descent_it_is_least_squares() -> None:
    affine = ridge(moments(VECTORS[~HELD_OUT], PREVIOUS[~HELD_OUT]), **HOP)
    np.testing.assert_allclose(fit(epochs=0).apply(VECTORS), affine.apply(VECTORS), atol=1e-4)


def test_a_descent_that_fails_is_not_kept() -> None:
    start = on_held_out(fit(epochs=0))
    assert on_held_out(fit(epochs=2, learning_rate=100.0)) == pytest.approx(start)


def test_a_seed_decides() -> None:
    one, two, other = (fit(epochs=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.apply(VECTORS), two.apply(VECTORS))
    assert not np.array_equal(one.apply(VECTORS), other.apply(VECTORS))


def test_older_maps_may_be_nonlinear() -> None:
    layers = [(normal(6, 3, seed=3), normal(6, seed=4)), (normal(2, 6, seed=5), normal(2))]
    older = MLPTransform(layers, from_version=1, to_version=0)
    descent = {"batch": 50, "learning_rate": 0.01, "older": [older]}
    unseen = VECTORS[HELD_OUT]
    target = older.apply(PREVIOUS[HELD_OUT])
    errors = [
        there(centred_error(older.apply(fit(epochs=e, **descent).apply(unseen)), target))
        for e in (0, 10)
    ]
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("wrong", [np.zeros(400, bool), np.ones(400, bool)])
def test_some_entities_to_fit_and_some_to_choose_by(wrong: npt.NDArray[np.bool_]) -> None:
    with pytest.raises(InvalidVectorsError, match="of 400 entities are held out"):
        fit_mlp(VECTORS, PREVIOUS, wrong, **HOP, hidden=[16])


def test_rows_that_do_not_fit_are_named() -> None:
    with pytest.raises(DimensionError, match=r"the 400 vectors, got 400 and \(399,\)"):
        fit_mlp(VECTORS, PREVIOUS, HELD_OUT[1:], **HOP, hidden=[16])
    with pytest.raises(DimensionError, match=r"the 400 vectors, got 10 and \(400,\)"):
        fit_mlp(VECTORS, PREVIOUS[:10], HELD_OUT, **HOP, hidden=[16])
