"""How Feast's Redis online store names the fields of an entity's hash."""

from __future__ import annotations

from functools import lru_cache

from feast.infra.online_stores.helpers import _mmh3


@lru_cache(maxsize=1024)
def view_fields(view: str, feature: str) -> tuple[bytes, bytes]:
    """Where a view's event timestamp stands, and where the value of a feature of it does.

    Args:
        view: the name under which the view is stored.
        feature: the feature's name.
    """
    return f"_ts:{view}".encode(), _mmh3(f"{view}:{feature}")
