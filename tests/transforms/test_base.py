"""What holds for every kind of transformation."""

from __future__ import annotations

import numpy as np
import pytest

from feast_bc.errors import ArtifactError, DimensionError, InvalidVectorsError
from feast_bc.transforms import AffineTransform, BackwardTransform, MLPTransform
from feast_bc.transforms.artifact import dumps, loads
from feast_bc.transforms.base import MAX_DIM
from tests.support.links import truncation

LARGE = np.float32(3e38)


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize(
    "transform",
    [
        AffineTransform(np.full((2, 3), LARGE), from_version=1, to_version=0),
        MLPTransform(
            [(np.full((4, 3), LARGE), np.zeros(4)), (np.full((2, 4), LARGE), np.zeros(2))],
            from_version=1,
            to_version=0,
        ),
    ],
    ids=repr,
)
def test_finite_weights_may_give_infinities(transform: BackwardTransform, rows: int) -> None:
    vectors = np.zeros((rows, 3), np.float32)
    assert np.isfinite(transform.apply(vectors)).all()
    vectors[rows - 1] = 1
    with pytest.raises(InvalidVectorsError, match=f"result of row {rows - 1} is NaN or infinity"):
        transform.apply(vectors)


def test_large_results_are_finite_though_their_sum_is_not() -> None:
    transform = AffineTransform(np.eye(3), from_version=1, to_version=0)
    vectors = np.full((2, 3), LARGE)
    np.testing.assert_array_equal(transform.apply(vectors), vectors)


@pytest.mark.timeout(20)
def test_a_small_file_cannot_promise_any_dimension() -> None:
    data = dumps(truncation(1, MAX_DIM, 2))
    assert loads(data).from_dim == MAX_DIM
    larger = data.replace(np.float32(MAX_DIM).tobytes(), np.float32(2**24).tobytes())
    assert len(larger) < 200
    with pytest.raises((ArtifactError, DimensionError), match=f"from 1 to {MAX_DIM}"):
        loads(larger)


@pytest.mark.parametrize("dim", [0, -1, MAX_DIM + 1])
def test_dimensions_are_bounded(dim: int) -> None:
    with pytest.raises(DimensionError, match=f"from 1 to {MAX_DIM}"):
        truncation(1, dim, 1)
