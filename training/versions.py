"""Train the embedding versions one after the other, each with its backward transformations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from feast_bc.alignment import BackwardMap
from feast_bc.holdout import Holdout
from feast_bc.transforms import AffineTransform, BackwardTransform
from training.data import Interactions
from training.encoder import Encoder
from training.history import History, history
from training.recall import first_purchases, recall
from training.slices import Slice
from training.trainer import Schedule, Target, fit

USERS, ITEMS = "user_embedding", "item_embedding"


@dataclass(frozen=True)
class Version:
    """A trained embedding version k.

    Attributes:
        number: k.
        past: the history it was trained on and whose entities it first encodes.
        encoder: M_k.
        backward: B_k per family (`user_embedding`, `item_embedding`); empty for k = 0. The
            families are two embeddings with spaces of their own, so each has its own B_k.
    """

    number: int
    past: History
    encoder: Encoder
    backward: Mapping[str, AffineTransform]


def choose_epochs(
    interactions: Interactions, window: Slice, dim: int, schedule: Schedule, *, every: int = 5
) -> int:
    """The number of epochs with the best Recall@50 on the slice's validation window.

    The fit sees nothing later than `window.validation_start`, the choice nothing later than
    `window.end`.

    Args:
        interactions: all of them.
        window: the slice.
        dim: the encoder's dimension.
        schedule: its `epochs` are the most to try.
        every: how often to look, in epochs.
    """
    past = history(interactions, window.validation_start)
    truth = first_purchases(interactions.between(window.validation_start, window.end), past)
    encoder = _initial(past, dim, schedule.seed)
    found: dict[int, float] = {}

    def look(epoch: int) -> None:
        if epoch % every == 0 or epoch == schedule.epochs:
            found[epoch] = recall(
                encoder.users(past).numpy(), encoder.items(past).numpy(), truth, past.bought
            )

    fit(encoder, past, schedule, after_epoch=look)
    return max(found, key=lambda epoch: found[epoch])


def train_versions(
    interactions: Interactions,
    slices: Sequence[Slice],
    dims: Sequence[int],
    schedule: Schedule,
    holdout: Holdout,
) -> Iterator[Version]:
    """Yield version 0, 1, ...; each from fresh tables, aligned to the one before it.

    Args:
        interactions: all of them; version k sees those up to `slices[k].end`.
        slices: one per version.
        dims: D_k per version.
        schedule: of every version; its seed is moved on by one for each.
        holdout: entities which no alignment sees. They are part of the intended task.
    """
    versions: list[Version] = []
    for number, (window, dim) in enumerate(zip(slices, dims, strict=True)):
        past = history(interactions, window.end)
        own = replace(schedule, seed=schedule.seed + number)
        encoder = _initial(past, dim, own.seed)
        target = _target(versions, past, dim, holdout, own.seed) if versions else None
        fit(encoder, past, own, target=target)
        backward = {}
        if target is not None:
            backward = _backward(versions[-1], encoder, past, target, holdout)
        versions.append(Version(number, past, encoder.eval(), backward))
        yield versions[-1]


def _initial(past: History, dim: int, seed: int) -> Encoder:
    return Encoder(past.bought.shape[1], dim, generator=torch.Generator().manual_seed(seed))


def _target(
    versions: Sequence[Version], past: History, dim: int, holdout: Holdout, seed: int
) -> Target:
    previous = versions[-1].encoder
    return Target(
        previous.users(past),
        previous.knows(past) & _not_held_out(holdout, past.user_ids),
        BackwardMap(dim, previous.dim, generator=torch.Generator().manual_seed(seed)),
        [torch.from_numpy(v.backward[USERS].weight) for v in versions[:0:-1]],
    )


def _backward(
    previous: Version, encoder: Encoder, past: History, target: Target, holdout: Holdout
) -> dict[str, AffineTransform]:
    """The final B_k: least squares, which for fixed vectors minimises the multi-step loss too."""
    hop = {"from_version": previous.number + 1, "to_version": previous.number}
    target.backward.fit_least_squares(encoder.users(past), target.previous, target.present)
    items = BackwardMap(encoder.dim, previous.encoder.dim)  # closed form: no initial values
    items.fit_least_squares(
        encoder.items(past), previous.encoder.items(past), _not_held_out(holdout, past.item_ids)
    )
    return {USERS: target.backward.export(**hop), ITEMS: items.export(**hop)}


def _not_held_out(holdout: Holdout, ids: pa.Array) -> Tensor:
    return torch.from_numpy(~holdout.contains(ids.to_pylist()))


def singular_values(transform: BackwardTransform) -> tuple[float, float]:
    """The largest and the smallest singular value of an affine transformation's W."""
    if not isinstance(transform, AffineTransform):
        raise TypeError(f"{transform!r} has no singular values: it is not affine.")
    values = np.linalg.svd(transform.weight, compute_uv=False)
    return float(values[0]), float(values[-1])
