"""Affine maps: the paper's linear backward transformation, with or without a bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import DimensionError
from feast_bc.transforms.base import BackwardTransform, Tensors, checked_tensor, named_tensor

# Up to so many vectors the product is faster with the weight as BLAS' left operand (768 dims: by a
# third for ten of them).
_FEW = 64


class AffineTransform(BackwardTransform):
    """x -> W x + b.

    Args:
        weight: W, shape `(to_dim, from_dim)`: `torch.nn.Linear`'s orientation, and the paper's.
        bias: b, shape `(to_dim,)`, or None for a linear map (the paper's).
    """

    kind = "affine"

    def __init__(
        self,
        weight: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating] | None = None,
        *,
        from_version: int,
        to_version: int,
    ) -> None:
        weight = checked_tensor("weight", weight, ndim=2)
        to_dim, from_dim = weight.shape
        super().__init__(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )
        self.weight = weight
        self.bias = None if bias is None else checked_tensor("bias", bias, ndim=1)
        if self.bias is not None and self.bias.shape != (to_dim,):
            raise DimensionError(
                f"{self!r}: bias has shape {self.bias.shape}, expected ({to_dim},)."
            )

    def _apply(self, vectors: Matrix) -> Matrix:
        out: Matrix
        if len(vectors) <= _FEW:
            out = np.ascontiguousarray((self.weight @ vectors.T).T)
        else:
            out = vectors @ self.weight.T
        if self.bias is not None:
            out += self.bias
        return out

    def merged(self, then: BackwardTransform) -> AffineTransform | None:
        """`then o self`, if that is affine too. Worked out in float64, kept as float32."""
        outer = then.as_affine()
        if outer is None:
            return None
        outer_weight = outer.weight.astype(np.float64)
        bias = None
        if self.bias is not None or outer.bias is not None:
            bias = np.zeros(outer.to_dim) if outer.bias is None else outer.bias.astype(np.float64)
            if self.bias is not None:
                bias = outer_weight @ self.bias + bias
        return AffineTransform(
            outer_weight @ self.weight,
            bias,
            from_version=self.from_version,
            to_version=outer.to_version,
        )

    def as_affine(self) -> AffineTransform:
        return self

    def tensors(self) -> Tensors:
        named = {"weight": self.weight}
        return named if self.bias is None else {**named, "bias": self.bias}

    @classmethod
    def from_tensors(
        cls, tensors: Tensors, *, from_version: int, to_version: int
    ) -> AffineTransform:
        return cls(
            named_tensor(tensors, "weight"),
            tensors.get("bias"),
            from_version=from_version,
            to_version=to_version,
        )
