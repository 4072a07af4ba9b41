"""Values of version views as what Feast's online stores return for each entity."""

from __future__ import annotations

from datetime import datetime

from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feast_bc.columns.encoding import encode
from feast_bc.columns.instants import to_datetime
from feast_bc.online.on_read import Resolved

Answer = tuple["datetime | None", "dict[str, ValueProto] | None"]


def no_answer(_feature: str) -> Answer:
    """What most stores answer for an entity without a row."""
    return None, None


def answers(view: FeatureView, missing: Answer, resolved: Resolved) -> list[Answer]:
    """Values as `online_read` returns them: what it would for the view's materialized rows.

    Args:
        view: the version view.
        missing: what the store answers for an entity without a row.
        resolved: the values.
    """
    (feature,) = (field.name for field in view.features)
    present = resolved.present
    if present.all():
        values = encode(resolved.vectors)
    else:
        values = encode(resolved.vectors[present], present)
    return [
        (to_datetime(instant), {feature: ValueProto.FromString(value)}) if found else missing
        for found, value, instant in zip(
            resolved.found.tolist(), values, resolved.instants.tolist(), strict=True
        )
    ]
