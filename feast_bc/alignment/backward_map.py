"""The linear or affine backward transformation, trained with the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from feast_bc.alignment.affine_module import AffineModule
from feast_bc.alignment.least_squares import least_squares
from feast_bc.transforms import AffineTransform


class BackwardMap(AffineModule):
    """A trainable B_k: x -> W x + b, from version k to version k-1.

    Starts at torch's default, U(-1/sqrt(D_k), 1/sqrt(D_k)), which is also the paper's; move it
    with `fit_least_squares` or `set_identity`.

    Args:
        from_dim: D_k.
        to_dim: D_{k-1}.
        bias: False for a linear map (the paper's).
        generator: draws the initial values; None takes torch's global one.

    Attributes:
        weight: W, shape `(D_{k-1}, D_k)`.
        bias: b, shape `(D_{k-1},)`, or None.

    Raises:
        DimensionError: a dimension below 1.
    """

    def __init__(
        self,
        from_dim: int,
        to_dim: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(from_dim, to_dim)

        def initial(*shape: int) -> nn.Parameter:
            bound = from_dim**-0.5
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.weight = initial(to_dim, from_dim)
        self.bias = initial(to_dim) if bias else None

    def forward(self, vectors: Tensor) -> Tensor:
        """Map shape `(n, D_k)` to `(n, D_{k-1})`."""
        return nn.functional.linear(vectors, self.weight, self.bias)

    def differences(self, differences: Tensor) -> Tensor:
        return differences @ self.weight.detach().T

    @torch.no_grad()
    def set_identity(self) -> None:
        """Keep the common coordinates: W = eye(D_{k-1}, D_k), b = 0.

        The first D_{k-1} coordinates of a longer vector, a shorter one with zeros behind it.
        """
        nn.init.eye_(self.weight)
        if self.bias is not None:
            self.bias.zero_()

    @torch.no_grad()
    def fit_least_squares(
        self, vectors: Tensor, previous: Tensor, present: Tensor | None = None
    ) -> None:
        """Set W and b to the minimum of either loss for fixed vectors, in closed form.

        Args:
            vectors: z_k, shape `(n, D_k)`.
            previous, present: as for `single_step_loss`.

        Raises:
            DimensionError: shapes that do not fit.
            InvalidVectorsError: no entity to fit on.
        """
        weight, bias = least_squares(self, vectors, previous, present, bias=self.bias is not None)
        self.weight.copy_(weight)
        if self.bias is not None:
            self.bias.copy_(bias)

    @torch.no_grad()
    def singular_values(self) -> Tensor:
        """Of W, descending, shape `(min(D_k, D_{k-1}),)`.

        The largest is the factor by which an error in space k can grow in space k-1; along a
        chain the factors multiply.
        """
        values: Tensor = torch.linalg.svdvals(self.weight)
        return values

    def export(self, *, from_version: int, to_version: int) -> AffineTransform:
        return AffineTransform(
            self.weight.detach().cpu().numpy(),
            None if self.bias is None else self.bias.detach().cpu().numpy(),
            from_version=from_version,
            to_version=to_version,
        )
