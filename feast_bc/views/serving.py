"""The two servings of a versioned embedding: what stands in the online store.

`materialized`: every version view's values, in Feast's own format, for any Feast reader.
`on_read`: native vectors and nothing else: those that some view takes its value from, or would
after some rollbacks. Version views are transformed when they are read, so a new version serves all
older names the moment it is active.
"""

from __future__ import annotations

from typing import Literal, get_args

from feast_bc.errors import CatalogError, ProviderError

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


def check_kept(embedding: str, keep_unchanged: str | None, serving: Serving, *, push: bool) -> None:
    """Refuse what cannot keep unchanged vectors.

    Raises:
        ProviderError: the views are served on read, or have push sources.
    """
    if keep_unchanged is None:
        return
    if serving == ON_READ:
        raise ProviderError(
            f"{embedding}: keep_unchanged needs to know which rows have seen the same input when "
            f"values are written; with serving={ON_READ!r} they are worked out later, from vectors "
            f"alone. Use serving={MATERIALIZED!r}, or leave keep_unchanged out."
        )
    if push:
        raise cannot_push(embedding)


def cannot_push(embedding: str) -> ProviderError:
    """Rows are pushed to an embedding that keeps unchanged vectors."""
    return ProviderError(
        f"{embedding}: it keeps unchanged vectors, and a pushed row does not say from when its "
        "entity's input is unchanged. A newer version's vector may have to take its place, which "
        "stands in the batch source only. Write the row to the batch source and materialize, or "
        "leave keep_unchanged and push out."
    )
