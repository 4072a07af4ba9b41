"""Fit one encoder: hidden purchases as the intended task, plus the alignment to version k-1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from feast_bc.alignment import BackwardMap, multi_step_loss
from training.bags import Bags
from training.encoder import Encoder
from training.history import History


@dataclass(frozen=True)
class Schedule:
    """How an encoder is fitted.

    Attributes:
        epochs: passes over the users.
        batch: users per step.
        learning_rate, weight_decay: of Adam.
        masked: the share of a user's purchases hidden from the encoder, which must predict them.
        alignment: lambda, the weight of the alignment loss (the paper: 16).
        candidates: items drawn per step for the softmax's normaliser; None: all of them.
        seed: of the initial tables, the order of users and the masks.
    """

    epochs: int = 30
    batch: int = 512
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    masked: float = 0.5
    alignment: float = 16.0
    candidates: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Target:
    """What the users' vectors are aligned to, and the map that leads there.

    Attributes:
        previous: z_{k-1} on the same history, shape `(users, D_{k-1})`.
        present: bool, shape `(users,)`; false without a previous vector, and where held out.
        backward: B_k, trained with the encoder.
        older: the weights of B_{k-1}, ..., B_1.
    """

    previous: Tensor
    present: Tensor
    backward: BackwardMap
    older: Sequence[Tensor] = ()


def fit(
    encoder: Encoder,
    past: History,
    schedule: Schedule,
    *,
    target: Target | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train the encoder, and the target's backward map with it, in place.

    The intended task's loss is the cross entropy of a softmax over all items: given a part of a
    user's purchases, name the hidden ones, recent ones counting more (`History.recency`).

    The joint loss aligns the users. The items' vectors follow from the users' (see `Encoder`),
    and so does their alignment.

    Args:
        encoder: as initialised.
        past: what it may see.
        schedule: how long and how hard.
        target: for k >= 1, what to align to.
        after_epoch: called with the number of epochs done.
    """
    rng = np.random.default_rng(schedule.seed)
    generator = torch.Generator().manual_seed(schedule.seed)
    parameters = list(encoder.parameters())
    if target is not None:
        parameters += target.backward.parameters()
    optimizer = torch.optim.Adam(
        parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    users, items = past.bought.shape
    for epoch in range(1, schedule.epochs + 1):
        for rows in np.array_split(rng.permutation(users), max(users // schedule.batch, 1)):
            bought = Bags.of(past.recency, rows)
            candidates = None
            if schedule.candidates is not None and schedule.candidates < items:
                candidates = torch.randint(items, (schedule.candidates,), generator=generator)
            hidden = bought.drawn(schedule.masked, generator)
            vectors = encoder(bought.where(~hidden))
            loss = cross_entropy(encoder, vectors, bought.where(hidden), candidates)
            if target is not None:
                mapped = target.backward(encoder(bought))
                batch = torch.from_numpy(rows)
                loss = loss + schedule.alignment * multi_step_loss(
                    mapped, target.previous[batch], target.older, target.present[batch]
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if after_epoch is not None:
            after_epoch(epoch)


def cross_entropy(
    encoder: Encoder, vectors: Tensor, asked: Bags, candidates: Tensor | None
) -> Tensor:
    """The weighted mean of -log softmax over the asked pairs.

    Args:
        encoder: its `outputs` are the items' vectors.
        vectors: of the bags' users, shape `(b, dim)`.
        asked: the pairs to be named.
        candidates: int64, shape `(c,)`: items drawn uniformly to stand for all in the softmax's
            normaliser, where the pair's own item is added; None: all items.
    """
    named = (vectors[asked.row] * encoder.outputs[asked.item]).sum(dim=1)
    if candidates is None:
        normaliser = (vectors @ encoder.outputs.T).logsumexp(dim=1)[asked.row]
    else:
        some = (vectors @ encoder.outputs[candidates].T).logsumexp(dim=1)
        some = some + math.log(len(encoder.outputs) / len(candidates))
        normaliser = torch.logaddexp(some[asked.row], named)
    return (asked.weight * (normaliser - named)).sum() / asked.weight.sum()


def fit_backward(
    vectors: Tensor,
    target: Target,
    *,
    seed: int,
    epochs: int = 200,
    batch: int = 256,
    learning_rate: float = 1e-3,
) -> None:
    """Train the target's backward map alone, in place, as the paper does for finished models.

    Args:
        vectors: z_k, shape `(n, D_k)`.
        target: what to align to, by the multi-step loss through `target.older`.
        seed: of the order of entities.
        epochs, learning_rate: the paper's.
        batch: entities per step; smaller than the paper's 2,048, as there are fewer entities.
    """
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(target.backward.parameters(), lr=learning_rate)
    present = np.flatnonzero(target.present.numpy())
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(present), max(len(present) // batch, 1)):
            chosen = torch.from_numpy(rows)
            mapped = target.backward(vectors[chosen])
            loss = multi_step_loss(mapped, target.previous[chosen], target.older)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
