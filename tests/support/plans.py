"""Random plans and native rows of one entity, on a clock of small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import to_datetime
from feast_bc.rule import NONE, Activation, Member, Plan, Rows

HORIZON = 12
"""All instants lie in 0, 1, ..., HORIZON."""


@dataclass(frozen=True)
class History:
    """Native rows of one entity and what was decided: plain numbers, for the oracle.

    Attributes:
        active: per version k > j its (from, until); until None while active.
        rows: (version, instant, whether it has a vector).
        ttl: the TTL, or None.
        version: j.
        versions: how many there are above j, and j.
        unchanged: from when the input is unchanged, of the rows that say so, by their version and
            instant.
        keeps: whether unchanged vectors are kept.
    """

    version: int
    versions: int
    active: Mapping[int, Sequence[tuple[int, int | None]]] = field(default_factory=dict)
    rows: Sequence[tuple[int, int, bool]] = ()
    ttl: int | None = None
    unchanged: Mapping[tuple[int, int], int] = field(default_factory=dict)
    keeps: bool = False

    def plan(self) -> Plan:
        """The same for the code under test."""
        return Plan(
            tuple(
                Member(
                    k,
                    f"digest {k}",
                    tuple(
                        Activation(to_datetime(s), None if e is None else to_datetime(e))
                        for s, e in self.active.get(k, ())
                    ),
                )
                for k in range(self.version, self.version + self.versions)
            ),
            self.ttl,
            "input_since" if self.keeps else None,
        )

    def newest(self, version: int, at: int) -> tuple[int, bool] | None:
        """A version's newest row at or before an instant."""
        past = [(instant, valid) for k, instant, valid in self.rows if k == version]
        return max((row for row in past if row[0] <= at), default=None)

    def columns(self, at: int) -> dict[int, Rows]:
        """The newest rows as columns of one entity."""
        found = {}
        for version in range(self.version, self.version + self.versions):
            row = self.newest(version, at)
            found[version] = Rows(
                np.array([NEVER if row is None else row[0]]),
                np.array([row is not None and row[1]]),
                np.array([self.unchanged.get((version, row[0] if row else NEVER), NEVER)]),
            )
        return found

    def counts(self, version: int, at: int) -> bool:
        return version == self.version or any(
            start <= at and (end is None or at < end) for start, end in self.active.get(version, ())
        )

    def winner(self, at: int) -> tuple[int, int | None]:
        """The rule's sentence: the winning version, and its row's instant."""
        usable = []
        for version in range(self.version, self.version + self.versions):
            row = self.newest(version, at)
            if row is None or not self.counts(version, at):
                continue
            instant, valid = row
            if valid and (self.ttl is None or at - instant <= self.ttl):
                usable.append((version, instant))
        if not usable:
            return NONE, None
        newest = self.unchanged.get(usable[-1])
        if not self.keeps or newest is None:
            return usable[-1]
        return next(row for row in usable if self.unchanged.get(row, NEVER) >= newest)


@st.composite
def histories(draw: st.DrawFn) -> History:
    version, versions = draw(st.integers(0, 2)), draw(st.integers(1, 4))
    members = range(version, version + versions)
    active = {}
    for k in members:
        edges = sorted(draw(st.lists(st.integers(0, HORIZON), max_size=4)))
        starts, ends = edges[::2], edges[1::2]
        active[k] = [(s, ends[i] if i < len(ends) else None) for i, s in enumerate(starts)]
    places = draw(st.sets(st.tuples(st.sampled_from(members), st.integers(0, HORIZON)), max_size=8))
    rows = [(k, instant, draw(st.integers(0, 3)) > 0) for k, instant in sorted(places)]
    said = {(k, instant): draw(st.none() | st.integers(0, instant)) for k, instant, _ in rows}
    unchanged = {row: since for row, since in said.items() if since is not None}
    ttl = draw(st.none() | st.integers(0, HORIZON))
    return History(version, versions, active, rows, ttl, unchanged, draw(st.booleans()))
