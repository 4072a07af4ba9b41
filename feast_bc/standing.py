"""Which versions count for a view between two cut-overs: what a read need not find out again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feast_bc.activation import NEVER, active_at, last_boundary, to_micros
from feast_bc.versions import EmbeddingVersion

_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Standing:
    """What the activations say about view j at every instant in [since, until), in microseconds.

    Attributes:
        since, until: the last start or end of an activation, and the next one.
        candidates: the versions that may give values, newest first; j is always the last.
        others: the versions that once did, newest first.
        boundary: from when the newest candidate serves the view; NEVER for version j itself.
        latest_boundary: the newest such instant, or end of it, of all the other versions k > j.
    """

    since: int
    until: int
    candidates: tuple[EmbeddingVersion, ...]
    others: tuple[EmbeddingVersion, ...]
    boundary: int
    latest_boundary: int

    @classmethod
    def at(cls, members: Sequence[EmbeddingVersion], now: int) -> Standing:
        """What holds at an instant.

        Args:
            members: versions j, j+1, ..., K.
            now: the instant, in microseconds.
        """
        own, *newer = members
        edges = sorted(
            to_micros(edge)
            for member in newer
            for activation in member.activations
            for edge in (activation.active_from, activation.active_until)
            if edge is not None
        )
        place = bisect_right(edges, now)
        at = np.array([now])
        boundaries: dict[int, int] = {}
        candidates, others = [own], list[EmbeddingVersion]()
        for member in newer:
            boundary = last_boundary(member.activations, now)
            if boundary is not None:
                boundaries[member.version] = boundary
                active = active_at(member.activations, at)[0]
                (candidates if active else others).append(member)
        newest = candidates[-1].version
        return cls(
            since=edges[place - 1] if place else NEVER,
            until=edges[place] if place < len(edges) else _FOREVER,
            candidates=tuple(reversed(candidates)),
            others=tuple(reversed(others)),
            boundary=boundaries.pop(newest, NEVER),
            latest_boundary=max(boundaries.values(), default=NEVER),
        )

    def holds_at(self, now: int) -> bool:
        return self.since <= now < self.until
