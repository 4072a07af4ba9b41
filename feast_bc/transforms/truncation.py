"""The paper's NoTrans."""

from __future__ import annotations

import numpy as np

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import DimensionError
from feast_bc.transforms.affine import AffineTransform
from feast_bc.transforms.base import BackwardTransform, Tensors, named_tensor


class TruncationTransform(BackwardTransform):
    """x -> the first `to_dim` coordinates of x: the paper's NoTrans. It has no parameters."""

    kind = "truncation"

    def __init__(self, *, from_version: int, to_version: int, from_dim: int, to_dim: int) -> None:
        super().__init__(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )
        if to_dim > from_dim:
            raise DimensionError(
                f"{self!r}: truncation cannot grow a vector from {from_dim} to {to_dim} "
                "coordinates; train an affine transformation instead."
            )

    def _apply(self, vectors: Matrix) -> Matrix:
        return np.array(vectors[:, : self.to_dim])  # a slice would share the caller's memory

    def merged(self, then: BackwardTransform) -> BackwardTransform | None:
        if not isinstance(then, TruncationTransform):
            return self.as_affine().merged(then)
        return TruncationTransform(
            from_version=self.from_version,
            to_version=then.to_version,
            from_dim=self.from_dim,
            to_dim=then.to_dim,
        )

    def tensors(self) -> Tensors:
        # safetensors needs at least one tensor to carry the dims.
        return {"dims": np.array([self.from_dim, self.to_dim], np.float32)}

    @classmethod
    def from_tensors(
        cls, tensors: Tensors, *, from_version: int, to_version: int
    ) -> TruncationTransform:
        from_dim, to_dim = (int(d) for d in named_tensor(tensors, "dims"))
        return cls(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )

    def as_affine(self) -> AffineTransform:
        return AffineTransform(
            np.eye(self.to_dim, self.from_dim, dtype=np.float32),
            from_version=self.from_version,
            to_version=self.to_version,
        )
