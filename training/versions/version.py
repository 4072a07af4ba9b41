"""Train the embedding versions one after the other, each with its backward transformations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from torch import Tensor

from feast_bc.alignment import BackwardMap
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.holdout import Holdout
from training.encoders.encoder import ITEMS, USERS, Across, Encoder
from training.encoders.recipe import FOLD_IN, Recipe
from training.encoders.schedule import Schedule
from training.interactions.history import History, history
from training.interactions.interactions import Interactions
from training.interactions.slices import Slice
from training.tasks.recall import first_purchases, recall
from training.versions.methods import BC_ALIGNER_REFIT, Method
from training.versions.trainer import Target, fit, fit_backward

_MAP_SEED = 500  # a map and the encoder beside it share no draws
_TWIN_SEED = 700


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
    encoder = FOLD_IN.fresh(past, 0, dim, schedule.seed)
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
    recipe: Recipe = FOLD_IN,
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
        recipe: of the encoders.
        trained: M_k, where another method that shares it has trained it already.
    """
    number = len(versions)
    encoder = trained
    if method.encoder == "frozen" and versions:
        encoder = versions[0].encoder
    if encoder is not None and method.joint and versions:
        raise ValueError(f"{method.name} trains B_{number} together with its encoder.")
    epochs = schedule.epochs * (number + 1 if method.long else 1)
    fresh, past_of_training = encoder is None, past
    if method.encoder == "twin" and number > 1:  # the model of version 1: nothing to map
        method = replace(method, backward="truncation", refit=False)
    if encoder is None and method.encoder in ("continued", "grown") and versions:
        previous = versions[-1].encoder
        if method.encoder == "continued":
            dim = previous.dim
            epochs = -(-epochs // 2)  # the paper's: 250 of 500
        encoder = previous.grown(past, dim, seed=schedule.seed)
    elif encoder is None and method.encoder == "twin" and versions:
        past_of_training, dim = versions[0].past, versions[0].encoder.dim
        schedule = replace(schedule, seed=schedule.seed + _TWIN_SEED)
        encoder = recipe.fresh(past_of_training, 0, dim, schedule.seed)
    elif encoder is None:
        encoder = recipe.fresh(past, number, dim, schedule.seed)
    targets = _targets(method, versions, past, encoder.dim, holdout, schedule.seed)
    if fresh:
        weight = schedule.alignment if method.weight is None else method.weight
        own = replace(schedule, epochs=epochs, alignment=weight)
        joint = targets if method.joint else None
        across = _across(method, versions, past, targets) if method.across and joint else None
        fit(encoder, past_of_training, own, targets=joint, across=across)
    encoder.eval()
    return Version(number, past, encoder, _backward(method, number, encoder, past, targets))


def _targets(
    method: Method,
    versions: Sequence[Version],
    past: History,
    dim: int,
    holdout: Holdout,
    seed: int,
) -> dict[str, Target]:
    """By family; empty for version 0."""
    if not versions:
        return {}
    previous = versions[-1].encoder
    return {
        USERS: Target(
            previous.users(past),
            previous.knows_users(past) & _not_held_out(holdout, past.user_ids),
            _map(method, dim, previous.dim, seed),
            _older(method, versions, USERS),
        ),
        ITEMS: Target(
            previous.items(past),
            previous.knows_items(past) & _not_held_out(holdout, past.item_ids),
            _map(method, dim, previous.dim, seed=len(versions)),
            _older(method, versions, ITEMS),
        ),
    }


def _across(
    method: Method, versions: Sequence[Version], past: History, targets: Mapping[str, Target]
) -> Across:
    users, items = targets[USERS], targets[ITEMS]
    return Across(
        method.across,
        {family: target.backward for family, target in targets.items()},
        users.previous,
        versions[-1].encoder.scored_items(past),
        users.present,
        items.present,
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
    number: int,
    encoder: Encoder,
    past: History,
    targets: Mapping[str, Target],
) -> dict[str, AffineTransform]:
    """The final B_k of each family.

    Where the joint loss trained the encoder but not this family's map, because the family's
    vectors follow from the other's, the map is the least-squares solution.
    """
    found = {}
    for family, target in targets.items():
        vectors = encoder.users(past) if family == USERS else encoder.items(past)
        solved = method.refit or (method.joint and family not in encoder.joint)
        if method.backward != "truncation" and solved:
            target.backward.fit_least_squares(vectors, target.previous, target.present)
        elif method.loss is not None and not method.joint:
            fit_backward(vectors, target, seed=number)
        found[family] = target.backward.export(from_version=number, to_version=number - 1)
    return found


def _not_held_out(holdout: Holdout, ids: pa.Array) -> Tensor:
    return torch.from_numpy(~holdout.contains(ids.to_pylist()))
