"""The embedding model: users are folded in from the items they bought, items from their buyers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.bags import Bags
from training.history import History


@dataclass(frozen=True)
class Readout:
    """How the items' vectors follow from the users'.

    Attributes:
        masked: the share of a user's purchases that is hidden from the user's vector and to be
            predicted; without it an item would mostly find those who have it already.
        ridge: the penalty, relative to the mean variance of the users' coordinates.
        damping: vectors are divided by (recent purchases of the item) ** damping, else popular
            items outshine the others.
    """

    masked: float = 0.5
    ridge: float = 0.1
    damping: float = 0.25


class Encoder(nn.Module):
    """Matrix factorisation that runs on any history, so for users and items it never saw.

    The vector of a user who bought the items h is `sum_{i in h} E_i / sqrt(|h|) + c`, and a
    pair's score is the inner product of its two vectors. While E and c are trained, items have a
    table P of their own. Afterwards P is replaced by the ridge regression that predicts from the
    users' vectors who buys an item (`items`): an item's vector is then, like a user's, a function
    of what was bought, and follows from E and c alone.

    So version k-1 can be run on the history of version k, as the paper runs it: what it says of
    an entity then is that entity's native vector of version k-1 at the later instant.

    Args:
        items: the number of items known at the end of training; later ones are skipped in
            users' histories.
        dim: the dimension of user and item vectors.
        generator: draws the initial tables.
        readout: how items are read out of the users' vectors.
    """

    def __init__(
        self,
        items: int,
        dim: int,
        *,
        generator: torch.Generator,
        readout: Readout = Readout(),
    ) -> None:
        super().__init__()
        self.readout = readout
        self.inputs = nn.Parameter(0.1 * torch.randn(items, dim, generator=generator))  # E
        self.outputs = nn.Parameter(0.1 * torch.randn(items, dim, generator=generator))  # P
        self.constant = nn.Parameter(0.1 * torch.randn(dim, generator=generator))  # c

    @torch.no_grad()
    def grown(self, items: int, dim: int, *, seed: int) -> Encoder:
        """A copy for `items` items and `dim` dimensions, both at least as many as here.

        New items and dimensions begin as in a fresh encoder; the old ones stand in front.
        """
        generator = torch.Generator().manual_seed(seed)
        larger = Encoder(items, dim, generator=generator, readout=self.readout)
        known = len(self.inputs)
        larger.inputs[:known, : self.dim] = self.inputs
        larger.outputs[:known, : self.dim] = self.outputs
        larger.constant[: self.dim] = self.constant
        return larger

    @property
    def dim(self) -> int:
        return len(self.constant)

    def forward(self, bought: Bags) -> Tensor:
        """User vectors of shape `(b, dim)` from what they bought, items this encoder knows."""
        count = bought.sizes().clamp(min=1).unsqueeze(1)
        return bought.unweighted().sums(self.inputs) / count.sqrt() + self.constant

    def known(self, bought: Bags) -> Bags:
        """Without the items that came after the training."""
        return bought.where(bought.item < len(self.inputs))

    def knows(self, past: History) -> Tensor:
        """Which users bought anything this encoder knows: bool, shape `(users,)`."""
        return self.known(Bags.of(past.bought)).sizes() > 0

    @torch.no_grad()
    def users(self, past: History) -> Tensor:
        """Vectors of all users, shape `(users, dim)`."""
        return self(self.known(Bags.of(past.bought)))

    @torch.no_grad()
    def items(self, past: History) -> Tensor:
        """Vectors of all items, shape `(items, dim)`, also of those later than the training."""
        masked, ridge, damping = self.readout.masked, self.readout.ridge, self.readout.damping
        bought = Bags.of(past.recency)
        hidden = bought.drawn(masked, torch.Generator().manual_seed(0))
        vectors = self(self.known(bought.where(~hidden)))
        gram = vectors.T @ vectors
        moment = bought.where(hidden).transposed(len(past.item_ids)).sums(vectors)
        penalty = ridge * gram.trace() / self.dim
        solution = torch.linalg.solve(gram + penalty * torch.eye(self.dim), moment.T).T
        popularity = bought.transposed(len(past.item_ids)).sums(torch.ones(len(vectors), 1))
        damped: Tensor = self.dim * solution / popularity.clamp(min=1e-3) ** damping
        return damped
