"""Learning a backward transformation together with a model: the losses of BC-Aligner.

For teams that train embedding models with torch (`pip install feast-bc[training]`); nothing on
the serving path imports this module. Formulas: Hu et al., "Learning Backward Compatible
Embeddings", KDD 2022 (arXiv 2206.03040). All tensors here share one float dtype and device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from feast_bc.transforms import AffineTransform


def single_step_loss(mapped: Tensor, previous: Tensor, present: Tensor | None = None) -> Tensor:
    """How far B_k lands from version k-1: the multi-step loss without older hops.

    Args:
        mapped: B_k(z_k), shape `(n, D_{k-1})`.
        previous: z_{k-1} of the same entities, shape `(n, D_{k-1})`; no gradient flows into it.
        present: bool, shape `(n,)`; false for entities without a previous vector, whose rows
            (whatever they hold, NaN included) count for nothing. None means all are present.

    Returns:
        A scalar: the squared error, mean over present entities and dimensions; 0 with a zero
        gradient where no entity is present. The paper adds up one such loss per node set.
    """
    return multi_step_loss(mapped, previous, (), present)


def multi_step_loss(
    mapped: Tensor,
    previous: Tensor,
    older: Sequence[Tensor],
    present: Tensor | None = None,
) -> Tensor:
    """How far version k lands from every older space, when served through the frozen chain.

    The difference at version k-1 is propagated, not the vectors: for affine older maps
    `B(x) - B(y) = W (x - y)`, so the biases cancel. With d_{k-1} = z_{k-1} - B_k(z_k) and
    d_j = W_{j+1} d_{j+1}, the loss is the mean over j = 0..k-1 of the mean square of d_j. Hence
    the target in space j is what version k-1 would have served there.

    Args:
        mapped, previous, present: as for `single_step_loss`.
        older: the weights W_{k-1}, ..., W_1 of the older maps, the newest first, each of shape
            `(D_{j-1}, D_j)`; they stay frozen. Empty for k = 1.

    Returns:
        A scalar, as `single_step_loss`.
    """
    previous = previous.detach()
    if present is not None:
        # Selected before the subtraction: NaN times 0 would still be NaN.
        mapped, previous = mapped[present], previous[present]
    if len(mapped) == 0:
        return mapped.sum()
    difference = previous - mapped
    total = difference.square().mean()
    for weight in older:
        difference = difference @ weight.detach().T
        total = total + difference.square().mean()
    return total / (len(older) + 1)


class BackwardMap(nn.Module):
    """A trainable B_k: x -> W x + b, from version k to version k-1.

    Starts at torch's default, U(-1/sqrt(D_k), 1/sqrt(D_k)), which is also the paper's.

    Args:
        from_dim: D_k.
        to_dim: D_{k-1}.
        bias: False for a linear map (the paper's).
        generator: draws the initial values; None takes torch's global one.

    Attributes:
        weight: W, shape `(D_{k-1}, D_k)`.
        bias: b, shape `(D_{k-1},)`, or None.
    """

    def __init__(
        self,
        from_dim: int,
        to_dim: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()

        def initial(*shape: int) -> nn.Parameter:
            bound = from_dim**-0.5
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.weight = initial(to_dim, from_dim)
        self.bias = initial(to_dim) if bias else None

    def forward(self, vectors: Tensor) -> Tensor:
        """Map shape `(n, D_k)` to `(n, D_{k-1})`."""
        return nn.functional.linear(vectors, self.weight, self.bias)

    @torch.no_grad()
    def fit_least_squares(
        self, vectors: Tensor, previous: Tensor, present: Tensor | None = None
    ) -> None:
        """Set W and b to the minimum of the loss for fixed vectors, in closed form.

        The minimum of `single_step_loss` is one of `multi_step_loss` too, whatever the older
        maps are: its residuals are orthogonal to the inputs, and stay so under a linear map.

        Args:
            vectors: z_k, shape `(n, D_k)`.
            previous, present: as for `single_step_loss`.
        """
        if present is not None:
            vectors, previous = vectors[present], previous[present]
        inputs = vectors.double()
        if self.bias is not None:
            inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        # gelsd gives the smallest solution where the vectors do not span their space.
        driver = "gelsd" if inputs.device.type == "cpu" else None
        solution = torch.linalg.lstsq(inputs, previous.double(), driver=driver).solution
        self.weight.copy_(solution[: vectors.shape[1]].T)
        if self.bias is not None:
            self.bias.copy_(solution[-1])

    @torch.no_grad()
    def singular_values(self) -> Tensor:
        """Of W, descending, shape `(min(D_k, D_{k-1}),)`.

        The largest is the factor by which an error in space k can grow in space k-1; along a
        chain the factors multiply.
        """
        values: Tensor = torch.linalg.svdvals(self.weight)
        return values

    def export(self, *, from_version: int, to_version: int) -> AffineTransform:
        """The map as a float32 transformation for `save_artifact`, serving and composition."""
        return AffineTransform(
            self.weight.detach().cpu().numpy(),
            None if self.bias is None else self.bias.detach().cpu().numpy(),
            from_version=from_version,
            to_version=to_version,
        )
