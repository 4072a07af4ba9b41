"""The embedding model: users are folded in from the items they bought, items from their buyers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from training.data import Codes
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
    def extended(self, items: int, *, seed: int) -> Encoder:
        """A copy with tables for `items` items, the new rows as in a fresh encoder."""
        generator = torch.Generator().manual_seed(seed)
        longer = Encoder(items, self.dim, generator=generator, readout=self.readout)
        longer.inputs[: len(self.inputs)] = self.inputs
        longer.outputs[: len(self.outputs)] = self.outputs
        longer.constant.copy_(self.constant)
        return longer

    @property
    def dim(self) -> int:
        return len(self.constant)

    def forward(self, bought: Tensor) -> Tensor:
        """User vectors of shape `(b, dim)` from 0/1 rows of shape `(b, items)`."""
        count = bought.sum(dim=1, keepdim=True).clamp(min=1)
        return bought @ self.inputs / count.sqrt() + self.constant

    def knows(self, past: History) -> Tensor:
        """Which users bought anything this encoder knows: bool, shape `(users,)`."""
        return torch.from_numpy(past.bought[:, : len(self.inputs)].getnnz(axis=1) > 0)

    @torch.no_grad()
    def users(self, past: History) -> Tensor:
        """Vectors of all users, shape `(users, dim)`."""
        return torch.cat([self(bought) for bought, _ in self._batches(past)])

    @torch.no_grad()
    def items(self, past: History) -> Tensor:
        """Vectors of all items, shape `(items, dim)`, also of those later than the training."""
        masked, ridge, damping = self.readout.masked, self.readout.ridge, self.readout.damping
        generator = torch.Generator().manual_seed(0)
        gram = torch.zeros(self.dim, self.dim)
        moment = torch.zeros(self.dim, past.bought.shape[1])
        for bought, recency in self._batches(past):
            hidden = torch.rand(recency.shape, generator=generator) < masked
            vectors = self(bought * ~hidden[:, : bought.shape[1]])
            gram += vectors.T @ vectors
            moment += vectors.T @ (recency * hidden)
        penalty = ridge * gram.trace() / self.dim
        solution = torch.linalg.solve(gram + penalty * torch.eye(self.dim), moment)
        popularity = torch.from_numpy(np.asarray(past.recency.sum(axis=0)).reshape(-1))
        damped: Tensor = self.dim * (solution / popularity.clamp(min=1e-3) ** damping).T
        return damped

    def _batches(self, past: History, size: int = 1024) -> Iterator[tuple[Tensor, Tensor]]:
        known = past.bought[:, : len(self.inputs)]
        for start in range(0, known.shape[0], size):
            rows = np.arange(start, min(start + size, known.shape[0]))
            yield dense(known, rows), dense(past.recency, rows)


def dense(matrix: sp.csr_matrix, rows: Codes) -> Tensor:
    """Rows of a CSR matrix as a float32 tensor of shape `(len(rows), columns)`."""
    return torch.from_numpy(matrix[rows].toarray())
