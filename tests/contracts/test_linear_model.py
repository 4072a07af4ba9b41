"""Which files are linear models."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from feast_bc.contracts.linear_model import read_linear_model
from feast_bc.errors import ContractError

Z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_scores_are_wz_plus_b() -> None:
    weight, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, -1], np.float64)
    several = read_linear_model(save({"weight": weight, "bias": bias}), 3, of="m").predict(Z)
    np.testing.assert_allclose(several, Z @ weight.T + bias, rtol=1e-4, atol=1e-6)
    one = read_linear_model(save({"weight": weight[1]}), 3, of="m").predict(Z)
    np.testing.assert_allclose(one, Z @ weight[1:].T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": np.ones(4)}, r"`weight` has shape \(4,\).*vectors of 3 dimensions"),
        ({"weight": np.ones((2, 3, 1))}, r"`weight` has shape \(2, 3, 1\)"),
        ({"weight": np.ones((0, 3))}, r"`weight` has shape \(0, 3\)"),
        ({"weight": np.ones((2, 3)), "bias": np.ones(3)}, r"`bias` \(3,\)"),
        ({"weight": np.ones(3, np.int64)}, "`weight` is int64"),
        ({"weight": np.array([1, np.nan, 1])}, "expected finite floats"),
        ({"coef": np.ones(3)}, "has the tensors coef; expected `weight`"),
        ({"weight": np.ones(3), "bias": np.ones(1), "x": np.ones(1)}, "tensors bias, weight, x"),
    ],
)
def test_what_is_no_linear_model(tensors: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ContractError, match=f"m.*{message}"):
        read_linear_model(save(tensors), 3, of="m")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, save({"weight": np.ones(3)})[:-1]])
def test_what_is_no_safetensors_file(data: bytes) -> None:
    with pytest.raises(ContractError, match="m is no safetensors file"):
        read_linear_model(data, 3, of="m")
