"""Searches of a version view, and the same by comparing every value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from tests.support.families import Family, Row

RNG = np.random.default_rng(3)


def vector(dim: int) -> tuple[float, ...]:
    return tuple(RNG.normal(size=dim).tolist())


FAMILY = Family(
    dims=[3, 4, 3],
    rows=[
        *(Row(0, e, 1, vector(3)) for e in range(30)),
        *(Row(1, e, 4, vector(4)) for e in range(5, 25)),
        *(Row(2, e, 6, vector(3)) for e in range(12)),
        Row(0, 40, 1, None),
        Row(0, 41, 5, (9, 9, 9)),
        Row(2, 42, 6, None),
        Row(0, 42, 6, vector(3)),
    ],
    active={1: [(5, None)], 2: [(7, None)]},
    ttl_hours=6,
)
"""Users 0 to 11 have the newest version, others fall back; with the TTL version 0's rows of hour 1
no longer count at hour 8."""
USERS = [*range(30), 40, 41, 42]
QUERY = [0.4, -0.7, 0.2]


def brute(metric: str, query: Sequence[float], value: np.ndarray) -> float:
    """The distance, word by word; NaN where there is none."""
    q, v = np.array(query, np.float64), value.astype(np.float64)
    if metric == "L2":
        return float(np.sqrt(((q - v) ** 2).sum()))
    if metric == "L1":
        return float(np.abs(q - v).sum())
    product = float((q * v).sum())
    if metric == "inner_product":
        return -product
    length = np.sqrt((q**2).sum() * (v**2).sum())
    return float(1 - product / length) if length else float("nan")


def expected(
    family: Family, version: int, hour: float, metric: str, query: Sequence[float]
) -> dict[int, float]:
    """Every entity's distance, nearest first."""
    entities = {row.entity for row in family.rows}
    values = {e: family.value(version, e, hour) for e in entities}
    found = {e: brute(metric, query, v) for e, v in values.items() if v is not None}
    found = {e: d for e, d in found.items() if not np.isnan(d)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def check(found: dict[int, float], wanted: dict[int, float], count: int) -> None:
    """Equal distances; which of several equally near entities is found is nobody's business."""
    assert len(found) == min(count, len(wanted))
    nearest = list(wanted.values())[:count]
    np.testing.assert_allclose(sorted(found.values()), nearest, rtol=1e-4, atol=1e-4)
    for entity, distance in found.items():
        np.testing.assert_allclose(distance, wanted[entity], rtol=1e-4, atol=1e-4)


def key(entity: int) -> EntityKey:
    return EntityKey(join_keys=["user_id"], entity_values=[Value(int64_val=entity)])


def searched(
    store: FeatureStore, view: str, metric: str, count: int, query: Sequence[float] = QUERY
) -> dict[int, float]:
    """What Feast answers: users and their distances."""
    response = store.retrieve_online_documents_v2(
        features=[f"{view}:embedding"], query=list(query), top_k=count, distance_metric=metric
    ).to_dict()
    return dict(zip(response.get("user_id", []), response["distance"], strict=True))
