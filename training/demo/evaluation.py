"""What the demo's table says of the intended task and of the frozen consumer model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.pipeline import Pipeline

from training.interactions.interactions import Interactions
from training.interactions.slices import Slice
from training.tasks.consumer import Task, Vectors, auroc
from training.tasks.recall import first_purchases, most_popular, recall
from training.versions.version import Version


@dataclass(frozen=True)
class Intended:
    """Recall@50 on the window after a version's training.

    Attributes:
        version: k.
        dim: D_k.
        model: of the version's vectors.
        oldest: of version 0's own model, run on the same histories: what came before, on the same
            window. Scores of two windows do not compare, for each has purchases of its own.
        popular, recently_popular: of two rankings that are the same for all users: by the number
            of buyers, and by that number with each buyer weighted by recency.
    """

    version: int
    dim: int
    model: float
    oldest: float
    popular: float
    recently_popular: float


@dataclass(frozen=True)
class Unintended:
    """AUROC of the consumer model, trained on version 0 and frozen, when the newest is version k.

    Attributes:
        native: on vectors of version 0's own model, run on today's histories. One gets these by
            keeping the old model alive.
        served: on version k's vectors, served as version 0.
        raw: on the first D_0 coordinates of version k's vectors. This breaks the consumer.
    """

    native: float
    served: float
    raw: float


def evaluate_intended(
    version: Version, oldest: Version, interactions: Interactions, window: Slice, *, k: int = 50
) -> Intended:
    """Full ranking of what each user buys for the first time in `(window.end, window.test_end]`."""
    past = version.past
    truth = first_purchases(interactions.between(window.end, window.test_end), past)
    model, before = (
        recall(one.users(past).numpy(), one.items(past).numpy(), truth, past.bought, k)
        for one in (version.encoder, oldest.encoder)
    )
    return Intended(
        version.number,
        version.encoder.dim,
        model,
        before,
        recall(*most_popular(past.bought), truth, past.bought, k),
        recall(*most_popular(past.recency), truth, past.bought, k),
    )


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
