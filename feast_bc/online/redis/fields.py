"""How Feast's Redis online store names the fields of an entity's hash."""

from __future__ import annotations

from functools import lru_cache

from feast_bc.feast_internals import redis_field


@lru_cache(maxsize=1024)
def view_fields(view: str, feature: str) -> tuple[bytes, bytes]:
    """Where a view's event timestamp stands, and where the value of a feature of it does.

    Args:
        view: the name under which the view is stored.
        feature: the feature's name.
    """
    return f"_ts:{view}".encode(), redis_field(view, feature)
