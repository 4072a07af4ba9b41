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
from training.encoder import Encoder, Readout
from training.history import History, history
from training.methods import BC_ALIGNER_REFIT, Method
from training.recall import first_purchases, recall
from training.slices import Slice
from training.trainer import Schedule, Target, fit, fit_backward

USERS, ITEMS = "user_embedding", "item_embedding"
_READOUT = Readout()
_MAP_SEED = 500  # a map and the encoder beside it share no draws


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
        trained = train_version(BC_ALIGNER_REFIT, versions, past, dim, own, holdout)
        versions.append(trained)
        yield trained


def train_version(
    method: Method,
    versions: Sequence[Version],
    past: History,
    dim: int,
    schedule: Schedule,
    holdout: Holdout,
    *,
    readout: Readout = _READOUT,
    trained: Encoder | None = None,
) -> Version:
    """Train the version after `versions` in one method's way.

    Args:
        method: how; version 0 is the same in all.
        versions: the older ones, from 0.
        past: what the version may see.
        dim: D_k, where the method's encoder is a fresh one.
        schedule: with the version's own seed.
        holdout: entities which no alignment sees.
        readout: of the items.
        trained: M_k, where another method that shares it has trained it already.
    """
    number = len(versions)
    encoder = trained
    if method.encoder == "frozen" and versions:
        encoder = versions[0].encoder
    if encoder is not None and method.joint and versions:
        raise ValueError(f"{method.name} trains B_{number} together with its encoder.")
    epochs = schedule.epochs
    fresh = encoder is None
    if encoder is None and method.encoder in ("continued", "grown") and versions:
        previous = versions[-1].encoder
        if method.encoder == "continued":
            dim = previous.dim
            epochs = -(-epochs // 2)  # the paper's: 250 of 500
        encoder = previous.grown(past.bought.shape[1], dim, seed=schedule.seed)
    elif encoder is None:
        encoder = _initial(past, dim, schedule.seed, readout)
    target = _target(method, versions, past, encoder.dim, holdout, schedule.seed)
    if fresh:
        weight = schedule.alignment if method.weight is None else method.weight
        own = replace(schedule, epochs=epochs, alignment=weight)
        fit(encoder, past, own, target=target if method.joint else None)
    encoder.eval()
    if target is None:
        return Version(number, past, encoder, {})
    return Version(
        number, past, encoder, _backward(method, versions, encoder, past, target, holdout)
    )


def _initial(past: History, dim: int, seed: int, readout: Readout = _READOUT) -> Encoder:
    generator = torch.Generator().manual_seed(seed)
    return Encoder(past.bought.shape[1], dim, generator=generator, readout=readout)


def _target(
    method: Method,
    versions: Sequence[Version],
    past: History,
    dim: int,
    holdout: Holdout,
    seed: int,
) -> Target | None:
    if not versions:
        return None
    previous = versions[-1].encoder
    return Target(
        previous.users(past),
        previous.knows(past) & _not_held_out(holdout, past.user_ids),
        _map(method, dim, previous.dim, seed),
        _older(method, versions, USERS),
    )


def _map(method: Method, dim: int, previous: int, seed: int) -> BackwardMap:
    generator = torch.Generator().manual_seed(seed + _MAP_SEED)
    initial = BackwardMap(dim, previous, bias=method.backward == "affine", generator=generator)
    if "truncation" in (method.backward, method.start):
        initial.set_identity()
    initial.requires_grad_(method.backward != "truncation")
    return initial


def _older(method: Method, versions: Sequence[Version], family: str) -> list[Tensor]:
    """The weights of B_{k-1}, ..., B_1 which the method's loss goes through."""
    if method.loss != "multi":
        return []
    return [torch.from_numpy(v.backward[family].weight) for v in versions[:0:-1]]


def _backward(
    method: Method,
    versions: Sequence[Version],
    encoder: Encoder,
    past: History,
    target: Target,
    holdout: Holdout,
) -> dict[str, AffineTransform]:
    """The final B_k of each family.

    The items' vectors follow from the users' and are no part of the joint loss: where that
    trained the users' map, the items' is the least-squares solution.
    """
    previous = versions[-1].encoder
    hop = {"from_version": len(versions), "to_version": len(versions) - 1}
    items = Target(
        previous.items(past),
        _not_held_out(holdout, past.item_ids),
        _map(method, encoder.dim, previous.dim, seed=len(versions)),
        _older(method, versions, ITEMS),
    )
    found = {}
    for family, vectors, aim in (
        (USERS, encoder.users(past), target),
        (ITEMS, encoder.items(past), items),
    ):
        solved = method.refit or (method.joint and family == ITEMS)
        if method.backward != "truncation" and solved:
            aim.backward.fit_least_squares(vectors, aim.previous, aim.present)
        elif method.loss is not None and not method.joint:
            fit_backward(vectors, aim, seed=len(versions))
        found[family] = aim.backward.export(**hop)
    return found


def _not_held_out(holdout: Holdout, ids: pa.Array) -> Tensor:
    return torch.from_numpy(~holdout.contains(ids.to_pylist()))


def singular_values(transform: BackwardTransform) -> tuple[float, float]:
    """The largest and the smallest singular value of an affine transformation's W."""
    if not isinstance(transform, AffineTransform):
        raise TypeError(f"{transform!r} has no singular values: it is not affine.")
    values = np.linalg.svd(transform.weight, compute_uv=False)
    return float(values[0]), float(values[-1])
