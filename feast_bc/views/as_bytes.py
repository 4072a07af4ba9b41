"""Feature views as bytes: what the registry keeps of them, and never a pickle."""

from __future__ import annotations

from feast import FeatureView
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto


def to_bytes(view: FeatureView) -> bytes:
    """A view without its projection, which the registry does not keep."""
    data: bytes = view.to_proto().SerializeToString()
    return data


def from_bytes(data: bytes) -> FeatureView:
    """What `to_bytes` took."""
    return FeatureView.from_proto(FeatureViewProto.FromString(data))
