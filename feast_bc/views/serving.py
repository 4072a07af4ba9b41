"""The two servings of a versioned embedding: what stands in the online store.

`materialized`: every version view's values, in Feast's own format, for any Feast reader.
`on_read`: native vectors and nothing else: those that some view takes its value from, or would
after some rollbacks. Version views are transformed when they are read, so a new version serves all
older names the moment it is active.
"""

from __future__ import annotations

from typing import Literal, get_args

from feast_bc.errors import CatalogError

Serving = Literal["materialized", "on_read"]

MATERIALIZED: Serving = "materialized"
ON_READ: Serving = "on_read"

ROLLBACK_VERSIONS = 1
"""After how many rollbacks a view that is served on read has its values at hand, by default."""


def check_rollback_versions(count: object) -> int:
    """Return `count`, or raise CatalogError if it is no number of rollbacks."""
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31:
        return count
    raise CatalogError(
        f"rollback_versions says how many rollbacks the native vectors in the online store have to "
        f"bear: expected a whole number, 0 or more; found {count!r}."
    )


def check_serving(serving: str) -> Serving:
    """Return `serving`, or raise CatalogError if there is no such serving."""
    for known in get_args(Serving):
        if serving == known:
            return known  # type: ignore[no-any-return]
    raise CatalogError(
        f"Unknown serving {serving!r}; expected one of {', '.join(map(repr, get_args(Serving)))}."
    )
