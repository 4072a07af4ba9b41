"""Which versions count for a view between two cut-overs: what a read need not find out again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feast_bc.activation import NEVER, boundaries, is_active, last_boundary
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
        edges = sorted(edge for member in newer for edge in boundaries(member.activations))
        place = bisect_right(edges, now)
        last: dict[int, int] = {}
        candidates, others = [own], list[EmbeddingVersion]()
        for member in newer:
            boundary = last_boundary(member.activations, now)
            if boundary is not None:
                last[member.version] = boundary
                active = is_active(member.activations, now)
                (candidates if active else others).append(member)
        newest = candidates[-1].version
        return cls(
            since=edges[place - 1] if place else NEVER,
            until=edges[place] if place < len(edges) else _FOREVER,
            candidates=tuple(reversed(candidates)),
            others=tuple(reversed(others)),
            boundary=last.pop(newest, NEVER),
            latest_boundary=max(last.values(), default=NEVER),
        )

    def holds_at(self, now: int) -> bool:
        return self.since <= now < self.until
