from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from feast_bc.publishing.centred_error import centred_error, error_of_mean
from tests.support.presence import there


def vectors(count: int = 400, dim: int = 5, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, dim))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 10, 1000])
def test_the_definitions(dtype: type[np.floating[Any]], offset: float) -> None:
    native = (vectors() + offset).astype(dtype)
    mapped = (native + 0.25 * vectors(seed=1)).astype(dtype)
    exact, wide = mapped.astype(np.float64), native.astype(np.float64)
    error, spread = np.linalg.norm(exact - wide), np.linalg.norm(wide - wide.mean(axis=0))
    assert centred_error(mapped, native) == pytest.approx(error / spread, rel=1e-5)
    assert error_of_mean(native) == pytest.approx(spread / np.linalg.norm(wide), rel=1e-5)
    uncentred = there(centred_error(mapped, native)) * there(error_of_mean(native))
    assert uncentred == pytest.approx(error / np.linalg.norm(wide), rel=1e-5)


@pytest.mark.parametrize("offset", [0, 1000])
def test_the_mean_vector_has_1_and_no_other_constant_less(offset: float) -> None:
    native = (vectors() + offset).astype(np.float32)
    mean = native.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert centred_error(np.broadcast_to(mean, native.shape), native) == 1
    assert there(centred_error(np.broadcast_to(mean + 0.1, native.shape), native)) > 1
    assert centred_error(native, native) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3, 999])
def test_equal_vectors_tell_nothing(count: int, dtype: type[np.floating[Any]]) -> None:
    native = np.full((count, 5), 0.1, dtype)
    assert centred_error(np.zeros_like(native), native) is None
    assert error_of_mean(native) == 0
    assert error_of_mean(np.zeros_like(native)) is None


def test_no_vectors_tell_nothing() -> None:
    nothing = np.empty((0, 5), np.float32)
    assert centred_error(nothing, nothing) is None
    assert error_of_mean(nothing) is None
