"""Which feature views stand in the online store for a version view.

For a materialized view it is the view itself. For a view that is served on read it is one view
`<embedding>_v<k>_native` per version k, with those of that version's native vectors that are kept
(`feast_bc.rule.Kept`). Beside them stand the states of the family's entities
(`feast_bc.rule.State`), and the record of what each stored view was last written under
(`feast_bc.rule.Written`). The two servings never share a storage name, so a versioned embedding can
change its serving while readers are at work.
"""

from __future__ import annotations

from feast import Entity, FeatureView, Field
from feast.types import Array, Bytes, Float32, String
from feast.value_type import ValueType

from feast_bc.views.source import BackwardCompatibleSource, state_name
from feast_bc.views.view_like import view_like

STATE = "state"
"""The one feature of the view with the states."""

WRITTEN = "written"
"""The one feature of the view with the records."""

STORED_VIEW = "feast_bc_stored_view"
"""The join key of the records: a stored view's name."""


def version_source(view: object) -> BackwardCompatibleSource | None:
    """The source of a version view; None for any other view."""
    source = getattr(view, "batch_source", None)
    return source if isinstance(source, BackwardCompatibleSource) else None


def is_on_read(view: object) -> bool:
    """Whether a view is a version view that is served on read."""
    source = version_source(view)
    return source is not None and source.on_read


def value_views(view: FeatureView) -> list[FeatureView]:
    """The views whose rows a materialization of a version view has to write.

    A view that is served on read may take its values from any of its versions.
    """
    source = view.batch_source
    if not source.on_read:
        return [view]
    return [native_view(view, member.version) for member in source.members]


def stored_views(view: FeatureView) -> list[FeatureView]:
    """Everything that has to stand in the online store for a view; for a plain view it alone."""
    if version_source(view) is None:
        return [view]
    return [*value_views(view), state_view(view), written_view(view)]


def native_view(view: FeatureView, version: int) -> FeatureView:
    """The view that holds the native vectors of a version >= that of `view`, a version view."""
    return _like(view, view.batch_source.native(version))


def state_view(view: FeatureView) -> FeatureView:
    """The view that holds the states of the family's entities."""
    source = view.batch_source
    name = state_name(source.embedding, source.serving)
    return view_like(view, name, [Field(name=STATE, dtype=Bytes)], source.members[0].source)


def written_view(view: FeatureView) -> FeatureView:
    """The view that holds the family's records, one per stored view."""
    key = Entity(name=STORED_VIEW, join_keys=[STORED_VIEW], value_type=ValueType.STRING)
    source = view.batch_source
    return FeatureView(
        name=f"{source.embedding}_written",
        entities=[key],
        schema=[Field(name=STORED_VIEW, dtype=String), Field(name=WRITTEN, dtype=Bytes)],
        source=source.members[0].source,
    )


def _like(view: FeatureView, source: BackwardCompatibleSource) -> FeatureView:
    """A view over `source` with the entities and the feature of `view`."""
    (feature,) = view.features
    vector = Field(
        name=feature.name,
        dtype=Array(Float32),
        vector_index=feature.vector_index,
        vector_length=source.dim,
        vector_search_metric=feature.vector_search_metric,
    )
    return view_like(view, source.name, [vector], source)
