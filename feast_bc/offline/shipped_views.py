"""The version views of a call as plain data, for the workers of an engine."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from feast import FeatureView
from feast.feature_view_projection import FeatureViewProjection
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from feast.protos.feast.core.FeatureViewProjection_pb2 import (
    FeatureViewProjection as FeatureViewProjectionProto,
)

from feast_bc.offline.version_views import VersionViews


class ShippedViews(NamedTuple):
    """Version views of a call of `get_historical_features`.

    Attributes:
        views: in the order of the request, each as the registry keeps it, and its projection,
            which the registry does not keep.
        refs: the requested features of all views, `view:feature`.
        full_feature_names: whether result columns are called `view__feature`.
    """

    views: tuple[tuple[bytes, bytes], ...]
    refs: tuple[str, ...]
    full_feature_names: bool

    @classmethod
    def of(
        cls, versions: VersionViews, refs: list[str], *, full_feature_names: bool
    ) -> ShippedViews:
        """Those of a call with the features `refs`."""
        views = tuple(
            (v.to_proto().SerializeToString(), v.projection.to_proto().SerializeToString())
            for v in versions.views
        )
        return cls(views, tuple(refs), full_feature_names)

    def rebuilt(self) -> VersionViews:
        """The views. A process does this once: it loads the transformations once."""
        return _rebuilt(self)


@lru_cache(maxsize=4)
def _rebuilt(shipped: ShippedViews) -> VersionViews:
    views = []
    for view_bytes, projection_bytes in shipped.views:
        view = FeatureView.from_proto(FeatureViewProto.FromString(view_bytes))
        projection = FeatureViewProjectionProto.FromString(projection_bytes)
        view.projection = FeatureViewProjection.from_proto(projection)
        views.append(view)
    return VersionViews(views, shipped.refs, full_feature_names=shipped.full_feature_names)
