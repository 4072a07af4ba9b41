"""Search through the store's own: candidates among native vectors, until no other can be nearer.

Of each entity the rule takes one version's row. So each version that counts is searched, and the
candidates are read as any entity is: an entity that is found by a row that gives no value is
measured by the row that does. The search widens until what was not looked at is further away than
the last entity found, whichever version gives its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto

from feast_bc.online.search.found import Found
from feast_bc.online.search.metric import Query
from feast_bc.online.search.pulled_back import Pulled, pulled_back
from feast_bc.views.source import BackwardCompatibleSource

# The first search asks for so many times the wanted entities; each further one for as much more.
# After the last a scan is faster.
_WIDENING = 4
_ROUNDS = 3
# Stores work out distances from float32.
_TOLERANCE = 1e-5

Nearest = Callable[[Pulled, int], "list[tuple[EntityKeyProto, float]]"]
"""(query, count) -> so many entities with the nearest native vectors, and their distances, nearest
first; fewer if there are no more."""


def indexed(
    source: BackwardCompatibleSource,
    nearest: Nearest,
    read: Callable[[Sequence[EntityKeyProto]], Found],
    query: Query,
    now: int,
) -> Found | None:
    """The nearest entities; None where it takes a scan.

    Args:
        source: the version view's.
        nearest: the store's search.
        read: measures entities by the values they have.
        query: what to look for.
        now: the instant of the search, in microseconds.
    """
    searches = [pulled_back(source, version, query) for version in source.plan.counting(now)]
    pulled = [each for each in searches if each is not None]
    if len(pulled) < len(searches):
        return None
    count = query.count
    for _ in range(_ROUNDS):
        count *= _WIDENING
        lists = [nearest(each, count) for each in pulled]
        keys = {key.SerializeToString(): key for found in lists for key, _ in found}
        best = read(list(keys.values()))
        unseen = min(
            each.at_least(found[-1][1]) if len(found) >= count else np.inf
            for each, found in zip(pulled, lists, strict=True)
        )
        last = best.distances[-1] if len(best.distances) == query.count else np.inf
        if unseen == np.inf or unseen >= last + _TOLERANCE * (1 + abs(last)):
            return best
    return None
