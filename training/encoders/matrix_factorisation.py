"""A table of vectors by id, one for users and one for items."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Self

from training.encoders.graph import Graph
from training.encoders.ranked_pairs import PairEncoder, PairOptions
from training.interactions.history import History


class MatrixFactorisation(PairEncoder):
    """Transductive: an entity has the vector it had when the tables were trained, and no other.

    Later entities have none (`knows_users`, `knows_items`): no alignment sees them, and what an
    older version is to say of them only its successors can, through B_k. Where a vector has to
    stand, it is the mean of the family's.

    Args:
        users, items: how many are known at the end of training.
        dim: the dimension of user and item vectors.
        generator: draws the initial tables.
        options: see there.
    """

    def __init__(
        self,
        users: int,
        items: int,
        dim: int,
        *,
        generator: torch.Generator,
        options: PairOptions,
    ) -> None:
        super().__init__()
        self.options = options
        self.user_table = nn.Parameter(0.1 * torch.randn(users, dim, generator=generator))
        self.item_table = nn.Parameter(0.1 * torch.randn(items, dim, generator=generator))

    @classmethod
    def fresh(
        cls,
        past: History,
        version: int,  # noqa: ARG003
        dim: int,
        seed: int,
        options: PairOptions,
    ) -> Self:
        generator = torch.Generator().manual_seed(seed)
        users, items = past.bought.shape
        return cls(users, items, dim, generator=generator, options=options)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], options: PairOptions) -> Self:
        users, dim = state["user_table"].shape
        items = len(state["item_table"])
        encoder = cls(users, items, dim, generator=torch.Generator(), options=options)
        encoder.load_state_dict(state)
        return encoder

    @torch.no_grad()
    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        larger = self.fresh(past, 0, dim, seed, self.options)
        larger.user_table[: len(self.user_table), : self.dim] = self.user_table
        larger.item_table[: len(self.item_table), : self.dim] = self.item_table
        return larger

    @property
    def dim(self) -> int:
        return self.user_table.shape[1]

    def forward(self, past: History, graph: Graph) -> Tensor:  # noqa: ARG002
        """The tables, with zeros for later entities."""
        return torch.cat(
            [_padded(self.user_table, graph.users), _padded(self.item_table, graph.items)]
        )

    def vectors(self, past: History) -> tuple[Tensor, Tensor]:
        users, items = super().vectors(past)
        return _filled(users, _nonzero(users)), _filled(items, _nonzero(items))

    def knows_users(self, past: History) -> Tensor:
        return _nonzero(super().vectors(past)[0]).cpu()

    def knows_items(self, past: History) -> Tensor:
        return _nonzero(super().vectors(past)[1]).cpu()


def _padded(table: Tensor, count: int) -> Tensor:
    return nn.functional.pad(table, (0, 0, 0, count - len(table)))


def _nonzero(vectors: Tensor) -> Tensor:
    """Which rows the tables have reached: the others are zero to the last bit."""
    return vectors.any(dim=1)


def _filled(vectors: Tensor, known: Tensor) -> Tensor:
    return torch.where(known.unsqueeze(1), vectors, vectors[known].mean(dim=0))
