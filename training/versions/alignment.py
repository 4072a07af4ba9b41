"""How near a version's chains come to the older versions, on the same history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from feast_bc.publishing.centred_error import centred_error, error_of_mean
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.holdout import Holdout
from training.encoders.encoder import ITEMS, USERS, Encoder
from training.interactions.history import History
from training.versions.version import Version


@dataclass(frozen=True)
class Alignment:
    """How near B_{j+1} o ... o B_k comes to version j, run on the same history.

    Attributes:
        embedding: the family.
        from_version, to_version: k and j.
        on_all, on_held_out: `centred_error` over all entities that version j can encode, and
            over those among them which no alignment saw.
        error_of_mean: `error_of_mean` of the latter.
        singular_values: the largest and the smallest of the chain's matrix.
    """

    embedding: str
    from_version: int
    to_version: int
    on_all: float | None
    on_held_out: float | None
    error_of_mean: float | None
    singular_values: tuple[float, float]


def evaluate_alignment(versions: Sequence[Version], holdout: Holdout) -> list[Alignment]:
    """The newest version's hop and chains to every older version, nearest first, per family."""
    newest = versions[-1]
    past = newest.past
    found = []
    for family in (USERS, ITEMS):
        ids = past.user_ids if family == USERS else past.item_ids
        held_out = holdout.contains(ids.to_pylist())
        vectors = encode(newest.encoder, family, past).numpy()
        for older in reversed(versions[:-1]):
            steps = [v.backward[family] for v in versions[newest.number : older.number : -1]]
            chain = compose(steps)
            native = encode(older.encoder, family, past).numpy()
            served = chain.apply(vectors)
            known = knows(older.encoder, family, past).numpy()
            unseen = known & held_out
            found.append(
                Alignment(
                    family,
                    newest.number,
                    older.number,
                    centred_error(served[known], native[known]),
                    centred_error(served[unseen], native[unseen]),
                    error_of_mean(native[unseen]),
                    singular_values(chain),
                )
            )
    return found


def encode(encoder: Encoder, family: str, past: History) -> Tensor:
    """The family's vectors on a history, shape `(entities, dim)`."""
    return encoder.users(past) if family == USERS else encoder.items(past)


def knows(encoder: Encoder, family: str, past: History) -> Tensor:
    """Which of the family's entities the encoder knows: bool, shape `(entities,)`."""
    return encoder.knows_users(past) if family == USERS else encoder.knows_items(past)


def summary(
    aligned: Sequence[Alignment], family: str, from_version: int, to_version: int
) -> Mapping[str, float | None]:
    """One entry's numbers, to be kept with an artifact."""
    wanted = (family, from_version, to_version)
    entry = next(a for a in aligned if (a.embedding, a.from_version, a.to_version) == wanted)
    largest, smallest = entry.singular_values
    return {
        "centred_error": entry.on_all,
        "centred_error_held_out": entry.on_held_out,
        "largest_singular_value": largest,
        "smallest_singular_value": smallest,
    }


def singular_values(transform: BackwardTransform) -> tuple[float, float]:
    """The largest and the smallest singular value of an affine transformation's W."""
    affine = transform.as_affine()
    if affine is None:
        raise TypeError(f"{transform!r} has no singular values: it is not affine.")
    values = np.linalg.svd(affine.weight, compute_uv=False)
    return float(values[0]), float(values[-1])
