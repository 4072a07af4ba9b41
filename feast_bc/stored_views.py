"""Which feature views stand in the online store for a version view.

For a materialized view it is the view itself. For a view that is served on read it is one view
`<embedding>_v<k>_native` per version k, with that version's native vectors. The two never share a
storage name, so a versioned embedding can change its serving while readers are at work.
"""

from __future__ import annotations

from feast import FeatureView, Field
from feast.types import Array, Float32

from feast_bc.source import BackwardCompatibleSource
from feast_bc.view_like import view_like


def version_source(view: object) -> BackwardCompatibleSource | None:
    """The source of a version view; None for any other view."""
    source = getattr(view, "batch_source", None)
    return source if isinstance(source, BackwardCompatibleSource) else None


def is_on_read(view: object) -> bool:
    """Whether a view is a version view that is served on read."""
    source = version_source(view)
    return source is not None and source.on_read


def views_to_write(view: FeatureView) -> list[FeatureView]:
    """The views whose rows a materialization of `view` has to write.

    A view that is served on read writes the native vectors of its own version, and of the newer
    ones that are retired: their own views are gone, but older views still need their vectors.
    """
    source = version_source(view)
    if source is None or not source.on_read:
        return [view]
    versions = [source.version]
    for member in source.newer_members:
        if not member.retired:
            break
        versions.append(member.version)
    return [native_view(view, version) for version in versions]


def native_view(view: FeatureView, version: int) -> FeatureView:
    """The view that holds the native vectors of a version >= that of `view`, a version view."""
    return _like(view, view.batch_source.native(version))


def sibling_view(view: FeatureView, version: int) -> FeatureView:
    """The view of another version of the same versioned embedding."""
    return _like(view, view.batch_source.of_version(version))


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
    return view_like(view, source.name, vector, source)
