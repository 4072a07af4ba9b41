"""Values of version views as what Feast's online stores return for each entity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feast_bc import clock
from feast_bc.columns.arrays import NEVER
from feast_bc.columns.encoding import encode
from feast_bc.columns.instants import MICROS, to_datetime
from feast_bc.metrics import STORED, metrics
from feast_bc.online.on_read import Resolved
from feast_bc.views.stored_views import is_on_read, version_source

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


def measure_stored(
    grouped_refs: Sequence[tuple[FeatureView, Sequence[str]]],
    _entities: Any,
    _join_keys: Any,
    response: Any,
    *_: Any,
) -> None:
    """Count what Feast's response has of version views whose values stand in the store.

    The arguments are those of Feast's `_read_features_per_fv`. `resolve` counts the views that are
    served on read: it knows which version gave a value.
    """
    measured = metrics()
    place = len(response.results) - sum(len(features) for _, features in grouped_refs)
    for view, features in grouped_refs:
        source = version_source(view)
        if source is not None and not is_on_read(view):
            vectors = response.results[place]
            present = sum(value.HasField("float_list_val") for value in vectors.values)
            measured.read(source, {STORED: present}, len(vectors.values) - present)
            if measured.due(source.name):
                newest = max((s.seconds for s in vectors.event_timestamps), default=0)
                measured.gauges(source, newest * MICROS if newest > 0 else NEVER, clock.now())
        place += len(features)
