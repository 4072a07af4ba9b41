"""What every trainable or frozen backward transformation is to torch."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from feast_bc.errors import DimensionError
from feast_bc.transforms import BackwardTransform


class BackwardModule(nn.Module, ABC):
    """B_k as a torch module: maps shape `(n, D_k)` to `(n, D_{k-1})`.

    Attributes:
        from_dim: D_k.
        to_dim: D_{k-1}.
    """

    def __init__(self, from_dim: int, to_dim: int) -> None:
        super().__init__()
        if from_dim < 1 or to_dim < 1:
            raise DimensionError(
                f"{type(self).__name__}: dimensions must be at least 1, got {from_dim} -> {to_dim}."
            )
        self.from_dim, self.to_dim = from_dim, to_dim

    def extra_repr(self) -> str:
        return f"{self.from_dim} -> {self.to_dim}"

    @abstractmethod
    def export(self, *, from_version: int, to_version: int) -> BackwardTransform:
        """The map as a float32 transformation for `save_artifact`, serving and composition."""
