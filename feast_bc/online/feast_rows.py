"""Values of version views as the rows that Feast's online stores return."""

from __future__ import annotations

from datetime import datetime

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feast_bc.columns.encoding import encode
from feast_bc.columns.instants import to_datetime
from feast_bc.online.on_read import Resolved
from feast_bc.online.readers import is_redis

Row = tuple["datetime | None", "dict[str, ValueProto] | None"]

_EPOCH = to_datetime(0)


def feast_rows(store: OnlineStore, view: FeatureView, resolved: Resolved) -> list[Row]:
    """Values as `online_read` returns them: what it would for the view's materialized rows."""
    (feature,) = (field.name for field in view.features)
    # What a store answers for an entity without a row.
    missing: Row = (_EPOCH, {feature: ValueProto()}) if is_redis(store) else (None, None)
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
