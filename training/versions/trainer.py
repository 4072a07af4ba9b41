"""Fit one encoder: its intended task, plus the alignment to version k-1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from feast_bc.alignment import BackwardMap, multi_step_loss
from training.encoders.encoder import Across, Encoder, Step
from training.encoders.schedule import Schedule
from training.interactions.history import History


@dataclass(frozen=True)
class Target:
    """What one family's vectors are aligned to, and the map that leads there.

    Attributes:
        previous: z_{k-1} on the same history, shape `(entities, D_{k-1})`.
        present: bool, shape `(entities,)`; false without a previous vector, and where held out.
        backward: B_k, trained with the encoder.
        older: the weights of B_{k-1}, ..., B_1.
    """

    previous: Tensor
    present: Tensor
    backward: BackwardMap
    older: Sequence[Tensor] = ()

    def to(self, device: str) -> Target:
        """The same on a device; the map itself moves there."""
        return replace(
            self,
            previous=self.previous.to(device),
            present=self.present.to(device),
            backward=self.backward.to(device),
            older=[weight.to(device) for weight in self.older],
        )


def fit(
    encoder: Encoder,
    past: History,
    schedule: Schedule,
    *,
    targets: Mapping[str, Target] | None = None,
    across: Across | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train the encoder, and the targets' backward maps with it, in place.

    Args:
        encoder: as initialised.
        past: what it may see.
        schedule: how long and how hard.
        targets: for k >= 1, what to align to, by family; the joint loss is that of the families
            in `encoder.joint`.
        across: for k >= 1, what the cross-version loss looks at; its maps are those of `targets`.
        after_epoch: called with the number of epochs done; the encoder is in evaluation mode.
    """
    encoder.to(schedule.device)
    task = encoder.task(past, schedule, across and across.to(schedule.device))
    aims = {
        family: target.to(schedule.device)
        for family, target in (targets or {}).items()
        if family in encoder.joint
    }
    parameters = list(encoder.parameters())
    for aim in aims.values():
        parameters += aim.backward.parameters()
    optimizer = torch.optim.Adam(
        parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    for epoch in range(1, schedule.epochs + 1):
        encoder.train()
        for step in task.epoch(aligned=bool(aims)):
            loss = step.loss
            if aims:
                loss = loss + schedule.alignment * _alignment(step, aims)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        encoder.settle(past)
        encoder.eval()
        if after_epoch is not None:
            after_epoch(epoch)
    encoder.cpu()
    for aim in aims.values():
        aim.backward.cpu()


def _alignment(step: Step, aims: Mapping[str, Target]) -> Tensor:
    """The multi-step losses of a step's sets of entities, added up as in the paper."""
    total = step.loss.new_zeros(())
    for nodes in step.nodes:
        aim, codes = aims[nodes.family], nodes.codes
        mapped = aim.backward(nodes.vectors)
        total = total + multi_step_loss(mapped, aim.previous[codes], aim.older, aim.present[codes])
    return total


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
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
