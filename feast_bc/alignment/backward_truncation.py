"""The backward transformation without parameters: the paper's NoTrans."""

from __future__ import annotations

from torch import Tensor

from feast_bc.alignment.affine_module import AffineModule
from feast_bc.errors import DimensionError
from feast_bc.transforms import TruncationTransform


class BackwardTruncation(AffineModule):
    """B_k: x -> the first D_{k-1} coordinates of x. Only the model itself can be aligned.

    Args:
        from_dim: D_k.
        to_dim: D_{k-1}, at most D_k.

    Raises:
        DimensionError: a dimension below 1, or `to_dim > from_dim`.
    """

    def __init__(self, from_dim: int, to_dim: int) -> None:
        super().__init__(from_dim, to_dim)
        if to_dim > from_dim:
            raise DimensionError(
                f"{self!r}: truncation cannot grow a vector from {from_dim} to {to_dim} "
                "coordinates; train a BackwardMap instead."
            )

    def forward(self, vectors: Tensor) -> Tensor:
        """Map shape `(n, D_k)` to `(n, D_{k-1})`."""
        return vectors[:, : self.to_dim]

    def differences(self, differences: Tensor) -> Tensor:
        return self.forward(differences)

    def export(self, *, from_version: int, to_version: int) -> TruncationTransform:
        return TruncationTransform(
            from_version=from_version,
            to_version=to_version,
            from_dim=self.from_dim,
            to_dim=self.to_dim,
        )
