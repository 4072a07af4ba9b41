"""Which native rows an online store keeps for views that take their values from them when read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from feast_bc.columns.arrays import Mask
from feast_bc.rule.plan import Plan, Rows


class Served(NamedTuple):
    """A view that is served on read.

    Attributes:
        plan: what is decided about it.
        rollbacks: after so many rollbacks its values are still at hand.
    """

    plan: Plan
    rollbacks: int


@dataclass(frozen=True)
class Kept:
    """What is kept of the native vectors of version k.

    A row stays as long as some view may take a value from it, at once or later, with no new row
    and after at most so many rollbacks as the view is to bear.

    Attributes:
        own: the plan of version k's native rows alone.
        served: the views; those that never take a value from version k have no say.
    """

    own: Plan
    served: tuple[Served, ...]

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that change whenever another row may have to be kept."""
        told = b"".join(
            view.plan.digest + view.rollbacks.to_bytes(8, "little") for view in self._users
        )
        return hashlib.sha256(self.own.digest + told).digest()

    def changes_between(self, since: int, until: int) -> bool:
        """Whether a cut-over or a rollback of a view lies in (since, until]."""
        return any(view.plan.changes_between(since, until) for view in self._users)

    @property
    def alone(self) -> bool:
        """Whether no other version's rows decide what is kept of this one, nor the other way."""
        return all(len(view.plan.ever_counting) == 1 for view in self._users)

    def needed(self, since: int, rows: Mapping[int, Rows]) -> Mask:
        """Whose row is to be kept.

        Args:
            since: the first instant at which a view may be read, in microseconds.
            rows: each version's newest row; of versions left out none is known.
        """
        version = self.own.version
        mask = np.zeros(len(rows[version].instant), bool)
        for plan, rollbacks in self._users:
            mask |= plan.may_win(version, since, rows, rollbacks)
        return mask

    @cached_property
    def _users(self) -> list[Served]:
        version = self.own.version
        return [
            view
            for view in sorted(self.served, key=lambda each: each.plan.version)
            if version in view.plan.ever_counting
        ]
