"""Feature views that are joined and stored as another one is, over a source of their own."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from feast import FeatureView, Field
from feast.data_source import DataSource


def view_like(
    view: FeatureView, name: str, features: Sequence[Field], source: DataSource
) -> FeatureView:
    """A view of some features over `source`, with the entities and the TTL of `view`."""
    made = FeatureView(name=name, schema=list(features), source=source, ttl=view.ttl)
    # The registry keeps the entities' names and columns, not the Entity objects that the
    # constructor takes.
    made.entities = view.entities
    made.entity_columns = copy.copy(view.entity_columns)
    made.projection.join_key_map = dict(view.projection.join_key_map)
    return made
