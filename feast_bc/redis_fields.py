"""How Feast's Redis online store names the fields of an entity's hash."""

from __future__ import annotations

from feast.infra.online_stores.helpers import _mmh3


def timestamp_field(view: str) -> bytes:
    """Where a view's event timestamp stands, given the name it is stored under."""
    return f"_ts:{view}".encode()


def value_field(view: str, feature: str) -> bytes:
    """Where the value of a view's feature stands."""
    name: bytes = _mmh3(f"{view}:{feature}")
    return name
