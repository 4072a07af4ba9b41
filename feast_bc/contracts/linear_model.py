"""A frozen linear model in a safetensors file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import ContractError

Double = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearModel:
    """Scores W z + b.

    Attributes:
        weight: W, float64, shape `(C, D_j)`.
        bias: b, float64, shape `(C,)`.
    """

    weight: Double
    bias: Double

    def predict(self, vectors: Matrix) -> Double:
        """Scores of shape `(n, C)` for vectors of shape `(n, D_j)`."""
        scores: Double = vectors @ self.weight.T + self.bias
        return scores


def read_linear_model(data: bytes, dim: int, *, of: str) -> LinearModel:
    """Read the tensors `weight`, of shape `(D_j,)` or `(C, D_j)`, and `bias`, of shape `(C,)`.

    Args:
        data: the bytes of a safetensors file; `bias` may be missing.
        dim: D_j.
        of: the file, for error messages.

    Raises:
        ContractError: it is no such file.
    """
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ContractError(
            f"{of} is no safetensors file ({type(error).__name__}: {error}). Write the model's "
            "coefficients as float tensors `weight` and `bias` with safetensors.numpy.save_file."
        ) from error
    if set(tensors) not in ({"weight"}, {"weight", "bias"}):
        raise ContractError(
            f"{of} has the tensors {', '.join(sorted(tensors)) or 'none'}; expected `weight`, of "
            f"shape ({dim},) or (classes, {dim}), and `bias`."
        )
    weight = np.atleast_2d(tensors["weight"])
    bias = np.atleast_1d(tensors.get("bias", np.zeros(len(weight))))
    expected = weight.ndim == 2 and weight.shape[1] == dim and bias.shape == (len(weight),)
    if not expected or not len(weight):
        raise ContractError(
            f"{of}: `weight` has shape {tensors['weight'].shape} and `bias` {bias.shape}; expected "
            f"({dim},) or (classes, {dim}), and (classes,), for vectors of {dim} dimensions. Is it "
            "a model of this version?"
        )
    floats = all(np.issubdtype(each.dtype, np.floating) for each in (weight, bias))
    if not floats or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ContractError(
            f"{of}: `weight` is {weight.dtype} and `bias` {bias.dtype}; expected finite floats."
        )
    return LinearModel(weight.astype(np.float64), bias.astype(np.float64))
