"""What the affine backward transformations have in common: they map differences."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from feast_bc.alignment.backward_module import BackwardModule


class AffineModule(BackwardModule):
    """A map x -> W x + b, so that B(x) - B(y) = W (x - y)."""

    @abstractmethod
    def differences(self, differences: Tensor) -> Tensor:
        """B(x) - B(y) from x - y, shape `(n, D_k)` to `(n, D_{k-1})`; no gradient reaches W."""
