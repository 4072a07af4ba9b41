"""How near a version's chains come to the older versions, on the same history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.publishing.alignment import vector_warnings
from feast_bc.publishing.centred_error import centred_error, error_of_mean
from feast_bc.publishing.geometry import (
    dot_product_correlation,
    mean_dominated,
    near_zero,
    neighbour_overlap,
    singular_values,
)
from feast_bc.publishing.probe_suite import ProbeReport, probe_suite
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.holdout import Holdout
from training.encoders.encoder import ITEMS, USERS, Encoder
from training.interactions.history import History
from training.tasks.consumer import Vectors
from training.versions.version import Version

Pair = tuple[Vectors, Vectors]
"""The vectors of all users and of all items."""


@dataclass(frozen=True)
class Alignment:
    """How near B_{j+1} o ... o B_k comes to version j, run on the same history.

    Attributes:
        embedding: the family.
        from_version, to_version: k and j.
        on_all, on_held_out: `centred_error` over all entities that version j can encode, and
            over those among them which no alignment saw.
        error_of_mean: `error_of_mean` of the latter.
        singular_values: the largest and the smallest of the chain's matrix; None where it has
            none.
        previous_error: the centred error, over unseen entities, of the chain k-1 -> j on the same
            history; None for the hop itself.
        neighbour_overlap, dot_product_correlation, near_zero, mean_dominated: as in
            `feast_bc.publishing.geometry`, over unseen entities.
        probes: of the unseen entities.
    """

    embedding: str
    from_version: int
    to_version: int
    on_all: float | None
    on_held_out: float | None
    error_of_mean: float | None
    singular_values: tuple[float, float] | None
    previous_error: float | None
    neighbour_overlap: float | None
    dot_product_correlation: float | None
    near_zero: float | None
    mean_dominated: float | None
    probes: ProbeReport

    @property
    def r_squared(self) -> float | None:
        """R^2 = 1 - centred_error^2, over unseen entities."""
        return None if self.on_held_out is None else 1 - self.on_held_out**2

    @property
    def warnings(self) -> tuple[str, ...]:
        """What about version j's vectors makes some figures say little."""
        of = f"the vectors of {self.embedding} version {self.to_version}"
        return vector_warnings(of, self.near_zero, self.mean_dominated)


def evaluate_alignment(versions: Sequence[Version], holdout: Holdout) -> list[Alignment]:
    """The newest version's hop and chains to every older version, nearest first, per family."""
    newest = versions[-1]
    past = newest.past
    found = []
    for family in (USERS, ITEMS):
        ids = past.user_ids if family == USERS else past.item_ids
        held_out = holdout.contains(ids.to_pylist())
        for older in reversed(versions[:-1]):
            found.append(_measure(versions, family, older, past, held_out))
    return found


def _measure(
    versions: Sequence[Version], family: str, older: Version, past: History, held_out: Mask
) -> Alignment:
    newest = versions[-1]
    native = encode(older.encoder, family, past).numpy()
    known = knows(older.encoder, family, past).numpy()
    unseen = known & held_out

    def served(by: Version) -> tuple[BackwardTransform, Matrix]:
        chain = chains_of(versions[older.number + 1 : by.number + 1])[family]
        return chain, chain.apply(encode(by.encoder, family, past).numpy())

    chain, mapped = served(newest)
    before = None
    if older.number < newest.number - 1:
        before = centred_error(served(versions[-2])[1][unseen], native[unseen])
    return Alignment(
        family,
        newest.number,
        older.number,
        centred_error(mapped[known], native[known]),
        centred_error(mapped[unseen], native[unseen]),
        error_of_mean(native[unseen]),
        singular_values(chain),
        before,
        neighbour_overlap(native[unseen], mapped[unseen]),
        dot_product_correlation(native[unseen], mapped[unseen]),
        near_zero(native[unseen]),
        mean_dominated(native[unseen]),
        probe_suite(native[known], mapped[known], judged=held_out[known]),
    )


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
    largest, smallest = entry.singular_values or (None, None)
    return {
        "centred_error": entry.on_all,
        "centred_error_held_out": entry.on_held_out,
        "largest_singular_value": largest,
        "smallest_singular_value": smallest,
    }


def vectors_of(version: Version, past: History) -> Pair:
    """The version's vectors of all users and all items of a history."""
    return version.encoder.users(past).numpy(), version.encoder.items(past).numpy()


def chains_of(newer: Sequence[Version]) -> Mapping[str, BackwardTransform]:
    """By family: the chain of these versions' transformations, newest first, folded."""
    return {f: compose([v.backward[f] for v in reversed(newer)]) for f in (USERS, ITEMS)}
