"""The two servings of a versioned embedding: what stands in the online store.

`materialized`: every version view's values, in Feast's own format, for any Feast reader.
`on_read`: the native vectors of each version and nothing else; version views are transformed when
they are read, so a new version serves all older names the moment it is active.
"""

from __future__ import annotations

from typing import Literal, get_args

from feast_bc.errors import CatalogError

Serving = Literal["materialized", "on_read"]

MATERIALIZED: Serving = "materialized"
ON_READ: Serving = "on_read"


def check_serving(serving: str) -> Serving:
    """Return `serving`, or raise CatalogError if there is no such serving."""
    for known in get_args(Serving):
        if serving == known:
            return known  # type: ignore[no-any-return]
    raise CatalogError(
        f"Unknown serving {serving!r}; expected one of {', '.join(map(repr, get_args(Serving)))}."
    )
