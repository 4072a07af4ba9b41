"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import DimensionError
from feast_bc.transforms.base import BackwardTransform, Tensors, checked_tensor, named_tensor


class MLPTransform(BackwardTransform):
    """A small multilayer perceptron: affine layers with ReLU between them.

    Args:
        layers: `(weight, bias)` per layer, input first; weight of shape `(out, in)`, bias of
            shape `(out,)`. There is no ReLU after the last layer.
    """

    kind = "mlp"

    def __init__(
        self,
        layers: Sequence[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]],
        *,
        from_version: int,
        to_version: int,
    ) -> None:
        if not layers:
            raise DimensionError(f"MLP {from_version} -> {to_version}: expected at least 1 layer.")
        self.layers = [
            (checked_tensor(f"weight.{i}", w, ndim=2), checked_tensor(f"bias.{i}", b, ndim=1))
            for i, (w, b) in enumerate(layers)
        ]
        width = self.layers[0][0].shape[1]
        super().__init__(
            from_version=from_version,
            to_version=to_version,
            from_dim=width,
            to_dim=self.layers[-1][0].shape[0],
        )
        for i, (weight, bias) in enumerate(self.layers):
            if weight.shape[1] != width or bias.shape != (weight.shape[0],):
                raise DimensionError(
                    f"{self!r}: layer {i} has weight {weight.shape} and bias {bias.shape}; "
                    f"expected (out, {width}) and (out,)."
                )
            width = weight.shape[0]

    def _apply(self, vectors: Matrix) -> Matrix:
        hidden = vectors
        for i, (weight, bias) in enumerate(self.layers):
            hidden = hidden @ weight.T + bias
            if i < len(self.layers) - 1:
                np.maximum(hidden, 0, out=hidden)
        return hidden

    def tensors(self) -> Tensors:
        named = {}
        for i, (weight, bias) in enumerate(self.layers):
            named[f"weight.{i}"] = weight
            named[f"bias.{i}"] = bias
        return named

    @classmethod
    def from_tensors(cls, tensors: Tensors, *, from_version: int, to_version: int) -> MLPTransform:
        count = sum(name.startswith("weight.") for name in tensors)
        layers = [
            (named_tensor(tensors, f"weight.{i}"), named_tensor(tensors, f"bias.{i}"))
            for i in range(max(count, 1))
        ]
        return cls(layers, from_version=from_version, to_version=to_version)
