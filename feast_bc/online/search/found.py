"""Entities that were found, with what stands online for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feast_bc.columns.encoding import decode
from feast_bc.online.answers import Answer
from feast_bc.online.search.metric import Distances, Query

Document = tuple["datetime | None", "EntityKeyProto | None", "dict[str, ValueProto] | None"]
"""What Feast's `retrieve_online_documents_v2` of a store returns for each entity."""

DISTANCE = "distance"
"""Under which name Feast returns it."""


class Found(NamedTuple):
    """The nearest of some entities, nearest first.

    Attributes:
        documents: as a store returns them.
        distances: shape `(n,)`.
    """

    documents: list[Document]
    distances: Distances


def measured(
    view: FeatureView, query: Query, keys: Sequence[EntityKeyProto], answers: Sequence[Answer]
) -> Found:
    """The entities nearest to a query, by the values that they have.

    Args:
        view: the version view.
        query: what is looked for.
        keys: entities.
        answers: what `online_read` returned for them.
    """
    (feature,) = (field.name for field in view.features)
    column = [
        None if not values or feature not in values else values[feature].SerializeToString()
        for _, values in answers
    ]
    vectors, present = decode(
        column, view.batch_source.dim, of=f"{view.name}:{feature} in the online store"
    )
    distances = query.distances(vectors)
    distances[~present] = np.nan
    order = np.argsort(distances, kind="stable")[: min(query.count, len(distances))]
    order = order[~np.isnan(distances[order])]
    documents: list[Document] = []
    for i in order.tolist():
        instant, values = answers[i]
        distance = ValueProto(double_val=float(distances[i]))
        documents.append((instant, keys[i], {**(values or {}), DISTANCE: distance}))
    return Found(documents, distances[order])


def in_key_order(documents: Sequence[Document]) -> list[Document]:
    """Documents as Feast 0.67 has to get them.

    It puts the i-th document where the i-th smallest entity stands in its response: in any other
    order it gives entities each other's values.
    """
    return sorted(documents, key=_entity)


def _entity(document: Document) -> tuple[Any, ...]:
    _, key, _ = document
    values = () if key is None else key.entity_values
    return tuple(getattr(value, value.WhichOneof("val")) for value in values)
