"""A family whose vectors are pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from feast import FeatureStore

from tests.support.clock import shown
from tests.support.families import USER, Family, Row, at, make_store, same
from tests.support.schedules import ASKED, apply, online_at

FAMILY = Family(
    dims=[2, 3, 2],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(1, 1, 2, (1, 2, 3)),
        Row(1, 3, 2, (4, 5, 6)),
        Row(2, 3, 3, (7, 8)),
    ],
    active={1: [(1, None)], 2: [(3, None)]},
    push=True,
)
NOW = 10


def filled(folder: Path, family: Family, online_store: dict[str, object] | None) -> FeatureStore:
    store = make_store(folder, online=online_store)
    store.apply([USER])
    apply(store, family, folder)
    store.materialize(at(-1), at(NOW))
    return store


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    made: pd.DataFrame = pd.DataFrame(
        {
            "user_id": [row.entity for row in rows],
            "event_timestamp": [at(row.hour) for row in rows],
            "embedding": [np.array(row.vector, np.float32) for row in rows],
        }
    )
    return made


def push(store: FeatureStore, rows: Sequence[Row], hour: float = NOW) -> None:
    """Push rows of one version, as if the clock showed `hour`."""
    with shown(hour):
        store.push(f"user_embedding_v{rows[0].version}_push", frame(rows))


def check(store: FeatureStore, family: Family, hour: float = NOW) -> None:
    """All views follow the rule over the family's rows."""
    for version in range(len(family.dims)):
        expected = [family.value(version, entity, hour) for entity in ASKED]
        same(online_at(store, f"user_embedding_v{version}", hour), expected)


def with_rows(family: Family, rows: Sequence[Row]) -> Family:
    return replace(family, rows=[*family.rows, *rows])
