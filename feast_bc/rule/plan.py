"""A plan: what the catalog says of one view, and the rule's answers under it."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import NEVER, Instants, Mask, RowNumbers
from feast_bc.columns.instants import to_micros
from feast_bc.rule.activation import Activation, active_at, boundaries

NONE = -1
"""The winner's number where no version has a row that counts."""

_EVER = int(np.iinfo(np.int64).max)
"""After all instants."""

Winners = npt.NDArray[np.int16]
"""Per row the version whose native row gives the value, or NONE."""


class Member(NamedTuple):
    """A version as the rule sees it.

    Attributes:
        version: k.
        digest: names its content; the same number with another content is another version.
        activations: when it serves the views of older versions.
    """

    version: int
    digest: str
    activations: tuple[Activation, ...] = ()


class Rows(NamedTuple):
    """The newest native row of one version for each of `n` entities.

    Attributes:
        instant: shape `(n,)`, its timestamp in microseconds; NEVER where there is no row.
        has_vector: shape `(n,)`, whether there is a row and its vector is not null.
        unchanged: shape `(n,)`, from when the entity's input is unchanged, as the row says; NEVER
            where it does not. None: no row says so.
    """

    instant: Instants
    has_vector: Mask
    unchanged: Instants | None = None

    def of(self, entities: RowNumbers | Mask) -> Rows:
        """The rows of some entities."""
        unchanged = None if self.unchanged is None else self.unchanged[entities]
        return Rows(self.instant[entities], self.has_vector[entities], unchanged)


@dataclass(frozen=True)
class Plan:
    """What is decided about view j.

    Attributes:
        members: versions j, j+1, ..., K, in that order.
        ttl: for how many microseconds a row counts; None for ever.
        keep_unchanged: what the native rows call the instant from which an entity's input is
            unchanged, where unchanged vectors are kept; None where they are not.
    """

    members: tuple[Member, ...]
    ttl: int | None = None
    keep_unchanged: str | None = None
    _counting: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def version(self) -> int:
        """j."""
        return self.members[0].version

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that change whenever the plan may give another value.

        A newer version that was never activated has no say: publishing it changes nothing.
        """
        last = max(self.ever_counting)
        decided: dict[str, object] = {
            "ttl": self.ttl,
            "members": [
                [
                    member.version,
                    member.digest,
                    [
                        [to_micros(a.active_from), a.active_until and to_micros(a.active_until)]
                        for a in member.activations
                    ]
                    if member.version != self.version
                    else None,
                ]
                for member in self.members
                if member.version <= last
            ],
        }
        if self.keep_unchanged is not None:
            decided["keep_unchanged"] = self.keep_unchanged
        return hashlib.sha256(json.dumps(decided).encode()).digest()

    @cached_property
    def ever_counting(self) -> tuple[int, ...]:
        """The versions that may give a value at one instant or another, oldest first."""
        own, *newer = self.members
        return (own.version, *(m.version for m in newer if m.activations))

    def counting(self, instant: int) -> tuple[int, ...]:
        """The versions that count at an instant (microseconds), newest first; j is the last."""
        place = bisect_right(self._edges, instant)
        if place not in self._counting:
            at = np.array([instant])
            versions = [v for v in self.ever_counting if self.counts(v, at).all()]
            self._counting[place] = tuple(reversed(versions))
        return self._counting[place]

    def changes_between(self, since: int, until: int) -> bool:
        """Whether a cut-over or a rollback lies in (since, until]."""
        return bisect_right(self._edges, until) > bisect_right(self._edges, since)

    def usable(self, rows: Rows, at: Instants | int) -> Mask:
        """Which rows have a vector, within the TTL.

        Args:
            rows: the newest row of a version at or before `at`.
            at: the instant t, or one for each row.
        """
        if self.ttl is None:
            return rows.has_vector
        mask: Mask = rows.has_vector & (rows.instant >= at - self.ttl)
        return mask

    def winners(
        self,
        at: Instants | int,
        usable: Mapping[int, Mask],
        unchanged: Mapping[int, Instants] | None = None,
    ) -> Winners:
        """Which version's native row gives each value.

        Args:
            at: the instant t, or one for each row.
            usable: per version k >= j a mask of shape `(n,)`: a row of k exists at or before t,
                within the TTL, and has a vector. Versions left out have none.
            unchanged: per version `Rows.unchanged`; versions whose rows do not say are left out.

        Returns:
            int16 of shape `(n,)`: the winning version, or NONE.
        """
        winner = np.full(len(next(iter(usable.values()))), NONE, np.int16)
        versions = reversed(self.counting(at)) if isinstance(at, int) else self.ever_counting
        counting: dict[int, Mask] = {}
        for version in versions:  # oldest first: a newer usable version overwrites
            if version in usable:
                counts = usable[version]
                if not isinstance(at, int):
                    counts = counts & self.counts(version, at)
                counting[version] = counts
                winner[counts] = version
        if self.keep_unchanged is None or not unchanged:
            return winner
        return _kept(winner, counting, unchanged)

    def winners_now(self, at: int, rows: Mapping[int, Rows]) -> Winners:
        """`winners` for one instant, given each version's newest rows."""
        unchanged = {k: row.unchanged for k, row in rows.items() if row.unchanged is not None}
        return self.winners(at, {k: self.usable(row, at) for k, row in rows.items()}, unchanged)

    def may_win(self, version: int, since: int, rows: Mapping[int, Rows], rolled_back: int) -> Mask:
        """Whose row of a version may give the value at an instant from `since` on.

        Cut-overs that are decided and rows that expire are foreseen, new rows are not: they change
        what is stored. At any one instant, fewer newer rows are usable the later it is.

        Args:
            version: k.
            since: the first instant, in microseconds.
            rows: each version's newest row; versions left out have none.
            rolled_back: so many of the newer versions may be rolled back, whichever they are.
        """
        last = {k: self._last_usable(row) for k, row in rows.items()}
        found = np.zeros(len(last[version]), bool)
        edges = [edge for edge in self._edges if edge > since]
        for start, end in zip([since, *edges], [*(edge - 1 for edge in edges), _EVER], strict=True):
            counting = self.counting(start)
            if version not in counting:
                continue
            latest = np.minimum(last[version], end)
            newer = np.zeros(len(latest), np.int64)
            for k in counting[: counting.index(version)]:
                if k in last:
                    newer += last[k] >= latest
            found |= (latest >= start) & (newer <= rolled_back)
        return found

    def newest_gives_all(self, at: int, rows: Rows) -> bool:
        """Whether the newest version that counts gives every value.

        Args:
            at: the instant t.
            rows: the newest rows of `counting(at)[0]`.
        """
        return bool(self.usable(rows, at).all())

    def counts(self, version: int, instants: Instants) -> Mask:
        """At which instants a version may give the view's value: j always, k > j while active."""
        if version == self.version:
            return np.ones(instants.shape, bool)
        return active_at(self.members[version - self.version].activations, instants)

    def instants(self, winner: Winners, at: int, rows: Mapping[int, Rows]) -> Instants:
        """The event timestamps of values and nulls, in microseconds.

        Args:
            winner: shape `(n,)`, from `winners_now`.
            at: the instant t.
            rows: the same rows.

        Returns:
            Shape `(n,)`: the winning row's instant; where nobody wins that of the newest row of
            all versions that count, NEVER where there is none.
        """
        found = np.full(winner.shape, NEVER, np.int64)
        nobody = winner == NONE
        if nobody.any():
            for version in self.counting(at):
                if version in rows:
                    np.maximum(found, rows[version].instant, out=found, where=nobody)
        for version, row in rows.items():
            np.copyto(found, row.instant, where=winner == version)
        return found

    def changed(self, since: int, until: int, winner: Winners, rows: Mapping[int, Rows]) -> Mask:
        """Which values at `until` may differ from those at `since`.

        A value changes when the winning row arrives, or when a newer version loses its own: a row
        without a vector arrives, or a row expires. Where unchanged vectors are kept, any version's
        row may decide which gives the value. No cut-over may lie in between.

        Args:
            since, until: the window, in microseconds. Rows that arrive at `since` itself count.
            winner: shape `(n,)`, the winners at `until`.
            rows: each version's newest row at `until`.
        """
        changed = np.zeros(winner.shape, bool)
        keeps = self.keep_unchanged is not None
        for version in self.counting(until):
            if version not in rows:
                continue
            instant, has_vector, _ = rows[version]
            arrived = instant >= since
            changed |= arrived & (keeps | (winner == version))
            ended = arrived & ~has_vector
            if self.ttl is not None:
                expires = instant + self.ttl
                ended |= (expires >= since) & (expires < until)
            changed |= ended & (keeps | (winner < version))
        return changed

    def touched(self, since: int, until: int, rows: Mapping[int, Rows]) -> Mask:
        """Who got a row since an instant, whether or not it changed the value.

        Args:
            since, until, rows: as for `changed`.
        """
        counting = [version for version in self.counting(until) if version in rows]
        arrived: Mask = np.logical_or.reduce([rows[v].instant >= since for v in counting])
        return arrived

    def _last_usable(self, rows: Rows) -> Instants:
        """The last instant at which each row is usable; NEVER without a vector."""
        if self.ttl is None:
            return np.where(rows.has_vector, _EVER, NEVER)
        return np.where(rows.has_vector, rows.instant + self.ttl, NEVER)

    @cached_property
    def _edges(self) -> list[int]:
        newer = self.members[1:]
        return sorted(edge for member in newer for edge in boundaries(member.activations))


def _kept(
    winner: Winners, usable: Mapping[int, Mask], unchanged: Mapping[int, Instants]
) -> Winners:
    """The winners, where unchanged vectors are kept: the oldest whose row has seen as much."""
    seen = np.full(winner.shape, NEVER, np.int64)
    for version, instants in unchanged.items():
        np.copyto(seen, instants, where=winner == version)
    kept: Winners = winner.copy()
    for version in sorted(usable, reverse=True):  # newest first: an older one overwrites
        if version in unchanged:
            as_new = (seen != NEVER) & (unchanged[version] >= seen)
            kept[usable[version] & as_new & (version < winner)] = version
    return kept
