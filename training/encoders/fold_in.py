"""Users are folded in from the items they bought, items from their buyers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

from training.encoders.bags import Bags
from training.encoders.encoder import USERS, Across, Encoder, NodeSet, Step
from training.encoders.schedule import Schedule
from training.interactions.history import History
from training.interactions.interactions import Codes


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


class FoldIn(Encoder):
    """Matrix factorisation that runs on any history, so for users and items it never saw.

    The vector of a user who bought the items h is `sum_{i in h} E_i / sqrt(|h|) + c`, and a
    pair's score is the inner product of its two vectors. While E and c are trained, items have a
    table P of their own. Afterwards P is replaced by the ridge regression that predicts from the
    users' vectors who buys an item (`items`): an item's vector is then, like a user's, a function
    of what was bought, and follows from E and c alone.

    Args:
        items: the number of items known at the end of training; later ones are skipped in
            users' histories.
        dim: the dimension of user and item vectors.
        generator: draws the initial tables.
        readout: how items are read out of the users' vectors.
    """

    joint = (USERS,)

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

    @classmethod
    def fresh(
        cls,
        past: History,
        version: int,  # noqa: ARG003
        dim: int,
        seed: int,
        options: Readout,
    ) -> Self:
        generator = torch.Generator().manual_seed(seed)
        return cls(past.bought.shape[1], dim, generator=generator, readout=options)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], options: Readout) -> Self:
        items, dim = state["inputs"].shape
        encoder = cls(items, dim, generator=torch.Generator(), readout=options)
        encoder.load_state_dict(state)
        return encoder

    @torch.no_grad()
    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        larger = self.fresh(past, 0, dim, seed, self.readout)
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

    def knows_users(self, past: History) -> Tensor:
        """Those who bought anything this encoder knows."""
        return self.known(Bags.of(past.bought)).sizes() > 0

    def knows_items(self, past: History) -> Tensor:
        """All of them: an item's vector is read out of its buyers'."""
        return torch.ones(len(past.item_ids), dtype=torch.bool)

    @torch.no_grad()
    def users(self, past: History) -> Tensor:
        vectors: Tensor = self(self.known(Bags.of(past.bought).to(self.device)))
        return vectors.cpu()

    @torch.no_grad()
    def items(self, past: History) -> Tensor:
        """Also of those later than the training."""
        masked, ridge, damping = self.readout.masked, self.readout.ridge, self.readout.damping
        bought = Bags.of(past.recency).to(self.device)
        hidden = bought.drawn(masked, torch.Generator().manual_seed(0))
        vectors = self(self.known(bought.where(~hidden)))
        gram = vectors.T @ vectors
        moment = bought.where(hidden).transposed(len(past.item_ids)).sums(vectors)
        penalty = ridge * gram.trace() / self.dim
        unit = torch.eye(self.dim, device=self.device)
        solution = torch.linalg.solve(gram + penalty * unit, moment.T).T
        one = torch.ones(len(vectors), 1, device=self.device)
        popularity = bought.transposed(len(past.item_ids)).sums(one)
        damped: Tensor = self.dim * solution / popularity.clamp(min=1e-3) ** damping
        return damped.cpu()

    def scored_items(self, past: History) -> Tensor:  # noqa: ARG002
        """P, of the items known at the end of training."""
        return self.outputs.detach().cpu()

    def task(
        self, past: History, schedule: Schedule, across: Across | None = None
    ) -> HiddenPurchases:
        return HiddenPurchases(self, past, schedule, across)


class HiddenPurchases:
    """The fold-in's intended task: given a part of a user's purchases, name the hidden ones.

    The loss is the cross entropy of a softmax over all items, recent purchases counting more
    (`History.recency`).

    The joint loss aligns the users. The items' vectors follow from the users' (see `FoldIn`),
    and so does their alignment; so a cross-version loss is of new users and old items.
    """

    def __init__(
        self, encoder: FoldIn, past: History, schedule: Schedule, across: Across | None
    ) -> None:
        self._encoder, self._past, self._schedule = encoder, past, schedule
        self._across = across
        self._rng = np.random.default_rng(schedule.seed)
        self._generator = torch.Generator().manual_seed(schedule.seed)

    def epoch(self, *, aligned: bool) -> Iterator[Step]:
        encoder, schedule = self._encoder, self._schedule
        users, items = self._past.bought.shape
        for rows in np.array_split(self._rng.permutation(users), max(users // schedule.batch, 1)):
            bought = Bags.of(self._past.recency, rows).to(encoder.device)
            candidates = None
            if schedule.candidates is not None and schedule.candidates < items:
                drawn = torch.randint(items, (schedule.candidates,), generator=self._generator)
                candidates = drawn.to(encoder.device)
            hidden = bought.drawn(schedule.masked, self._generator)
            vectors = encoder(bought.where(~hidden))
            asked = bought.where(hidden)
            loss = cross_entropy(encoder.outputs, vectors, asked, candidates)
            if self._across is not None:
                loss = loss + self._across.weight * _judged_by(self._across, rows, vectors, asked)
            nodes = []
            if aligned:
                codes = torch.from_numpy(rows).to(encoder.device)
                nodes.append(NodeSet(USERS, codes, encoder(bought)))
            yield Step(loss, nodes)


def _judged_by(across: Across, rows: Codes, vectors: Tensor, asked: Bags) -> Tensor:
    """The loss of `B_k(z_k)` under version k-1's items, over the pairs that it knows."""
    users = across.known_users[torch.from_numpy(rows).to(vectors.device)]
    old = asked.where(asked.item < len(across.items))
    old = old.where(users[old.row] & across.known_items[old.item])
    if not len(old.item):
        return vectors.new_zeros(())
    mapped = across.backward[USERS](vectors)
    return cross_entropy(across.items, mapped, old, None)


def cross_entropy(
    outputs: Tensor, vectors: Tensor, asked: Bags, candidates: Tensor | None
) -> Tensor:
    """The weighted mean of -log softmax over the asked pairs.

    Args:
        outputs: the items' vectors, shape `(items, dim)`.
        vectors: of the bags' users, shape `(b, dim)`.
        asked: the pairs to be named.
        candidates: int64, shape `(c,)`: items drawn uniformly to stand for all in the softmax's
            normaliser, where the pair's own item is added; None: all items.
    """
    named = (vectors[asked.row] * outputs[asked.item]).sum(dim=1)
    if candidates is None:
        normaliser = (vectors @ outputs.T).logsumexp(dim=1)[asked.row]
    else:
        some = (vectors @ outputs[candidates].T).logsumexp(dim=1)
        some = some + math.log(len(outputs) / len(candidates))
        normaliser = torch.logaddexp(some[asked.row], named)
    return (asked.weight * (normaliser - named)).sum() / asked.weight.sum()
