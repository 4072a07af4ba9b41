"""What the demo's table says: the intended task, the alignment, and the frozen consumer model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sklearn.pipeline import Pipeline
from torch import Tensor

from feast_bc.publishing.centred_error import centred_error, error_of_mean
from feast_bc.transforms import compose
from feast_bc.transforms.holdout import Holdout
from training.consumer import Task, Vectors, auroc
from training.data import Interactions
from training.encoders.encoder import Encoder
from training.history import History
from training.recall import first_purchases, most_popular, recall
from training.slices import Slice
from training.versions import ITEMS, USERS, Version, singular_values


@dataclass(frozen=True)
class Intended:
    """Recall@50 on the window after a version's training.

    Attributes:
        version: k.
        dim: D_k.
        model: of the version's vectors.
        popular, recently_popular: of the two rankings that know no user; by the number of
            buyers, and by the same number with the recency's weights.
    """

    version: int
    dim: int
    model: float
    popular: float
    recently_popular: float


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


@dataclass(frozen=True)
class Unintended:
    """AUROC of the consumer model, trained on version 0 and frozen, when the newest is version k.

    Attributes:
        native: with version 0's own model run on today's histories: what one gets by keeping
            the old model alive.
        served: with version k's vectors served as version 0.
        raw: with the first D_0 coordinates of version k's vectors: the consumer, broken.
    """

    native: float
    served: float
    raw: float


def evaluate_intended(
    version: Version, interactions: Interactions, window: Slice, *, k: int = 50
) -> Intended:
    """Full ranking of what each user buys for the first time in `(window.end, window.test_end]`."""
    past = version.past
    truth = first_purchases(interactions.between(window.end, window.test_end), past)
    vectors = version.encoder.users(past).numpy(), version.encoder.items(past).numpy()
    return Intended(
        version.number,
        version.encoder.dim,
        recall(*vectors, truth, past.bought, k),
        recall(*most_popular(past.bought), truth, past.bought, k),
        recall(*most_popular(past.recency), truth, past.bought, k),
    )


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


def evaluate_unintended(
    consumer: Pipeline,
    task: Task,
    versions: Sequence[Version],
    served: Vectors,
    interactions: Interactions,
    window: Slice,
) -> Unintended:
    """Judge the frozen consumer model on the newest version's test window, all users known by then.

    Args:
        consumer: trained on native vectors of version 0 only.
        task: the labels it was trained for.
        versions: all; the last one is the newest.
        served: the newest vectors as version 0, shape `(users, D_0)`, by user code.
        interactions: all of them.
        window: the newest version's slice.
    """
    oldest, newest = versions[0].encoder, versions[-1].encoder
    past = versions[-1].past
    labels = task(interactions.between(window.end, window.test_end), len(past.user_ids))
    return Unintended(
        auroc(consumer, oldest.users(past).numpy(), labels),
        auroc(consumer, served, labels),
        auroc(consumer, newest.users(past).numpy()[:, : oldest.dim], labels),
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
    largest, smallest = entry.singular_values
    return {
        "centred_error": entry.on_all,
        "centred_error_held_out": entry.on_held_out,
        "largest_singular_value": largest,
        "smallest_singular_value": smallest,
    }
