"""What a task asks at one instant: its rows, their labels, and the rows to judge a consumer on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from feast_bc.transforms.holdout import Holdout
from training.interactions.interactions import Codes, Interactions
from training.interactions.slices import Slice
from training.tasks.consumer import Labels, Vectors

# Items recur from window to window: a consumer learns on one half and is judged on the other.
_JUDGED = Holdout(0.5, "consumer")


@dataclass(frozen=True)
class Examples:
    """`n` questions at one instant.

    Attributes:
        labels: bool, shape `(n,)`.
        user, item: codes, shape `(n,)`; None where the task does not look at them.
        judged: bool, shape `(n,)`; the rows that a consumer is judged on. It learns from the
            others alone. None: it is judged on all, because it learned in an earlier window.
    """

    labels: Labels
    user: Codes | None = None
    item: Codes | None = None
    judged: Labels | None = None

    def features(self, users: Vectors, items: Vectors) -> Vectors:
        """The vectors of each row's user and item side by side, shape `(n, D or 2 D)`."""
        parts = [] if self.user is None else [users[self.user]]
        parts += [] if self.item is None else [items[self.item]]
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Moment:
    """The two instants of a question: when its consumer was born, and when it is asked.

    A consumer is born when it is trained, on the vectors of the version that is newest then.

    Attributes:
        all: the interactions.
        birth: the slice of the consumer's version j.
        now: the slice of the newest version k.
    """

    all: Interactions
    birth: Slice
    now: Slice

    def window(self, of: Slice) -> Interactions:
        """What happens in a slice's test window."""
        return self.all.between(of.end, of.test_end)

    def users(self, of: Slice) -> int:
        """How many users are known at the end of a slice."""
        return int(self.all.purchases().until(of.end).user.max()) + 1

    def items(self, of: Slice) -> int:
        """How many items are known at the end of a slice."""
        return int(self.all.purchases().until(of.end).item.max()) + 1


def of_users(labels: Labels) -> Examples:
    """One row per user, by code: labels of shape `(users,)`."""
    return Examples(labels, user=np.arange(len(labels)))


def of_items(at: Moment, items: Codes, labels: Labels) -> Examples:
    """One row per item: codes and labels of shape `(n,)`."""
    judged = _JUDGED.contains(at.all.item_ids.take(items).to_pylist())
    return Examples(labels, item=items, judged=judged)


Task = Callable[[Moment], Examples]
