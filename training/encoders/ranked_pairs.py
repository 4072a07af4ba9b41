"""Encoders of all nodes of a graph at once, and Bayesian personalised ranking for them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from training.encoders.encoder import ITEMS, USERS, Across, Encoder, NodeSet, Step
from training.encoders.graph import Graph
from training.encoders.pair_sampler import Pairs, PairSampler
from training.encoders.schedule import Schedule
from training.encoders.sparse import inner_products
from training.interactions.history import History

_ALIGNED = 4096  # pairs per step whose nodes are aligned; the paper: all 2,048


@dataclass(frozen=True)
class PairOptions:
    """What experiments can set of these encoders.

    Attributes:
        penalty: the weight of the output vectors' squared lengths (the paper: 1e-2).
        recent: draw a user's positive items in proportion to `History.recency`; else uniformly,
            as the paper does.
    """

    penalty: float = 1e-2
    recent: bool = False


@dataclass(frozen=True)
class GraphOptions(PairOptions):
    """What experiments can set of encoders that look at a node's neighbours.

    Attributes:
        layers: of message passing, per version; the last one also for all later versions.
    """

    layers: tuple[int, ...] = (2, 2, 3)

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 1:
            raise ValueError(f"layers must be at least 1 for every version, got {self.layers}.")

    def depth(self, version: int) -> int:
        """The layers of version k."""
        return self.layers[min(version, len(self.layers) - 1)]


class PairEncoder(Encoder):
    """An encoder that computes the vectors of all nodes of a graph in one pass."""

    joint = (USERS, ITEMS)
    options: PairOptions

    @abstractmethod
    def forward(self, past: History, graph: Graph) -> Tensor:
        """Vectors of all nodes of the graph, users first: shape `(users + items, dim)`.

        Args:
            past: whose entities they are.
            graph: `past.bought`, or a part of it.
        """

    @torch.no_grad()
    def vectors(self, past: History) -> tuple[Tensor, Tensor]:
        """Of all users and of all items, float32, on this encoder's device."""
        nodes: Tensor = self(past, Graph.of(past.bought, self.device))
        users, items = torch.split(nodes.float(), list(past.bought.shape))
        return users, items

    def users(self, past: History) -> Tensor:
        return self.vectors(past)[0].cpu()

    def items(self, past: History) -> Tensor:
        return self.vectors(past)[1].cpu()

    def task(self, past: History, schedule: Schedule, across: Across | None = None) -> RankedPairs:
        return RankedPairs(self, past, schedule, across)


class RankedPairs:
    """Bayesian personalised ranking: what a user bought shall score above what the user did not.

    The loss is the paper's, the mean of softplus(s_neg - s_pos) plus the penalty times half the
    sum of the three vectors' squared lengths. One pass over the graph serves `schedule.batch`
    pairs; an epoch draws as many pairs as there are purchases.
    """

    def __init__(
        self, encoder: PairEncoder, past: History, schedule: Schedule, across: Across | None
    ) -> None:
        self._encoder, self._past, self._schedule = encoder, past, schedule
        self._across = across
        self._generator = torch.Generator(encoder.device).manual_seed(schedule.seed)
        self._rng = np.random.default_rng(schedule.seed)
        self._graph = Graph.of(past.bought, encoder.device)
        self._sampler = PairSampler(past.bought, self._generator)
        weights = past.recency.data if encoder.options.recent else past.bought.data
        self._weights = torch.from_numpy(weights.astype(np.float64)).to(encoder.device)

    def epoch(self, *, aligned: bool) -> Iterator[Step]:
        schedule, options = self._schedule, self._encoder.options
        batch = min(schedule.batch, self._past.bought.nnz)
        for _ in range(math.ceil(self._past.bought.nnz / batch)):
            graph, weights = self._graph, self._weights
            if schedule.masked:
                graph, weights = self._part(schedule.masked)
            pairs = self._sampler.draw(batch, weights)
            nodes = self._nodes(graph)
            users, items = self._split(nodes)
            loss = ranking_loss(users, items, pairs, options.penalty)
            if (across := self._across) is not None:
                loss = loss + across.weight * _ranked_across(across, users, items, pairs)
            if not aligned:
                yield Step(loss)
                continue
            # What is aligned is the vector that will be published: of all purchases.
            whole = self._nodes(self._graph) if schedule.masked else nodes
            yield Step(loss, self._node_sets(*self._split(whole), pairs))

    def _nodes(self, graph: Graph) -> Tensor:
        kind = self._encoder.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self._schedule.bf16):
            nodes: Tensor = self._encoder(self._past, graph)
        return nodes.float()

    def _split(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        users, items = torch.split(nodes, list(self._past.bought.shape))
        return users, items

    def _part(self, masked: float) -> tuple[Graph, Tensor]:
        """The graph without a random share of the purchases, and the weights of these."""
        bought = self._past.bought
        hidden = self._rng.random(bought.nnz) < masked
        count = np.concatenate([[0], np.cumsum(~hidden)])[bought.indptr]
        kept = (bought.data[~hidden], bought.indices[~hidden], count)
        graph = Graph.of(sp.csr_matrix(kept, shape=bought.shape), self._encoder.device)
        return graph, self._weights * torch.from_numpy(hidden).to(self._weights.device)

    def _node_sets(self, users: Tensor, items: Tensor, pairs: Pairs) -> list[NodeSet]:
        """The paper's three: users, positive and negative items, of some of the pairs."""
        count = len(pairs.user)
        some = torch.randint(
            count,
            (min(count, _ALIGNED),),
            generator=self._generator,
            device=self._generator.device,
        )
        user, positive, negative = pairs.user[some], pairs.positive[some], pairs.negative[some]
        return [
            NodeSet(USERS, user, users.index_select(0, user)),
            NodeSet(ITEMS, positive, items.index_select(0, positive)),
            NodeSet(ITEMS, negative, items.index_select(0, negative)),
        ]


def _ranked_across(across: Across, users: Tensor, items: Tensor, pairs: Pairs) -> Tensor:
    """Mapped users rank version k-1's items, and its users mapped items: both losses.

    Over the pairs of which version k-1 knows all three; the penalty has been paid.
    """
    known = across.known_users[pairs.user]
    known = known & across.known_items[pairs.positive] & across.known_items[pairs.negative]
    user, better, worse = pairs.user[known], pairs.positive[known], pairs.negative[known]
    total = users.new_zeros(())
    for left, right in (
        (across.backward[USERS](users), across.items),
        (across.users, across.backward[ITEMS](items)),
    ):
        gap = (left[user] * (right[worse] - right[better])).sum(dim=1)
        total = total + torch.nn.functional.softplus(gap).sum() / max(len(gap), 1)
    return total


def ranking_loss(users: Tensor, items: Tensor, pairs: Pairs, penalty: float) -> Tensor:
    """See `RankedPairs`.

    Args:
        users, items: all vectors, float32, shapes `(users, dim)` and `(items, dim)`.
        pairs: to be ranked.
        penalty: of the squared lengths.
    """
    better = inner_products(users, items, pairs.crow, pairs.positive)
    worse = inner_products(users, items, pairs.crow, pairs.negative)
    items_drawn = torch.bincount(torch.cat([pairs.positive, pairs.negative]), minlength=len(items))
    lengths = (pairs.crow.diff() * users.square().sum(dim=1)).sum()
    lengths = lengths + (items_drawn * items.square().sum(dim=1)).sum()
    ranked = torch.nn.functional.softplus(worse - better).mean()
    return ranked + penalty * 0.5 * lengths / len(pairs.user)
