"""The nonlinear backward transformation, trained with the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from feast_bc.alignment.backward_map import BackwardMap
from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.alignment.least_squares import least_squares
from feast_bc.errors import DimensionError
from feast_bc.transforms import MLPTransform


class BackwardMLP(BackwardModule):
    """A trainable B_k of affine layers with ReLU between them. The paper has none such.

    Starts like `BackwardMap` in each layer; move it with `fit_least_squares` or `set_identity`.

    Args:
        from_dim: D_k.
        to_dim: D_{k-1}.
        hidden: the widths between them, one or more; at least 2 D_{k-1} each for the two starts.
        generator: draws the initial values; None takes torch's global one.

    Raises:
        DimensionError: no hidden layer, or a dimension below 1.
    """

    def __init__(
        self,
        from_dim: int,
        to_dim: int,
        *,
        hidden: Sequence[int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(from_dim, to_dim)
        if not hidden:
            raise DimensionError(
                f"{self!r}: expected at least 1 hidden layer; without one it is a BackwardMap."
            )
        self.layers = nn.ModuleList(
            BackwardMap(width, then, generator=generator)
            for width, then in pairwise([from_dim, *hidden, to_dim])
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Map shape `(n, D_k)` to `(n, D_{k-1})`."""
        first, *others = self.layers
        mapped: Tensor = first(vectors)
        for layer in others:
            mapped = layer(mapped.relu())
        return mapped

    def _by_layer(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """The weight and the bias of each layer, input first."""
        return [
            (layer.get_parameter("weight"), layer.get_parameter("bias")) for layer in self.layers
        ]

    def set_identity(self) -> None:
        """Start as `BackwardMap.set_identity` does, exactly.

        Raises:
            DimensionError: a hidden layer narrower than 2 D_{k-1}.
        """
        weight = self.layers[0].get_parameter("weight")
        eye = torch.eye(self.to_dim, self.from_dim, dtype=weight.dtype, device=weight.device)
        self._set_affine(eye, torch.zeros_like(eye[:, 0]))

    def fit_least_squares(
        self, vectors: Tensor, previous: Tensor, present: Tensor | None = None
    ) -> None:
        """Start as the best affine map for fixed vectors, exactly; training leads on from there.

        Args:
            vectors: z_k, shape `(n, D_k)`.
            previous, present: as for `single_step_loss`.

        Raises:
            DimensionError: a hidden layer narrower than 2 D_{k-1}, or shapes that do not fit.
            InvalidVectorsError: no entity to fit on.
        """
        self._set_affine(*least_squares(self, vectors, previous, present))

    @torch.no_grad()
    def _set_affine(self, weight: Tensor, bias: Tensor) -> None:
        """W x + b as relu(W x) - relu(-W x) + b: the first 2 D_{k-1} units of each layer.

        The other units keep their random inputs and count for nothing until they are trained.
        """
        used = 2 * self.to_dim
        *hidden, (last, offset) = self._by_layer()
        narrowest = min(len(units) for units, _ in hidden)
        if narrowest < used:
            raise DimensionError(
                f"{self!r}: a hidden layer has {narrowest} units; expected at least "
                f"{used} (2 x {self.to_dim}) to start as an affine map. Widen it."
            )
        for units, threshold in hidden:
            nn.init.eye_(units[:used])
            threshold[:used] = 0
        hidden[0][0][:used] = torch.cat([weight, -weight])
        last.zero_()
        nn.init.eye_(last[:, : self.to_dim])
        last[:, self.to_dim : used] = -last[:, : self.to_dim]
        offset.copy_(bias)

    def export(self, *, from_version: int, to_version: int) -> MLPTransform:
        return MLPTransform(
            [(w.detach().cpu().numpy(), b.detach().cpu().numpy()) for w, b in self._by_layer()],
            from_version=from_version,
            to_version=to_version,
        )
