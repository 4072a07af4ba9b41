"""Random versioned embeddings with their native histories, and the rule's oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FileSource, RepoConfig
from feast.data_source import DataSource
from feast.repo_config import RegistryConfig
from feast.value_type import ValueType

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.rule import Activation
from feast_bc.transforms import AffineTransform, BackwardTransform
from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.links import stored

T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)
UNCHANGED = "input_since"
"""The column that says from when an entity's input is unchanged."""
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)


def at(hours: float) -> datetime:
    """The instant `hours` after the tests' epoch."""
    return T0 + timedelta(hours=hours)


@dataclass(frozen=True)
class Row:
    """A native row: version k's vector of an entity, computed at an hour.

    Its input is unchanged from the hour `unchanged` on; None where the row does not say.
    """

    version: int
    entity: int
    hour: float
    vector: tuple[float, ...] | None
    unchanged: float | None = None


@dataclass
class Family:
    """A versioned embedding before it is published.

    Attributes:
        dims: D_0, D_1, ...
        rows: native rows of all versions.
        active: per version k >= 1 its (from, until) hours.
        transforms: B_1, B_2, ...
        ttl_hours: the views' TTL.
        serving, rollback_versions, push: as on `VersionedEmbedding`.
        keeps: whether unchanged vectors are kept.
    """

    dims: Sequence[int]
    rows: Sequence[Row]
    active: dict[int, Sequence[tuple[float, float | None]]] = field(default_factory=dict)
    transforms: Sequence[BackwardTransform] = ()
    ttl_hours: float | None = None
    name: str = "user_embedding"
    serving: Serving = "materialized"
    rollback_versions: int = 1
    push: bool = False
    keeps: bool = False

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.transforms = self.transforms or [
            AffineTransform(
                rng.normal(size=(self.dims[k - 1], self.dims[k])),
                rng.normal(size=self.dims[k - 1]),
                from_version=k,
                to_version=k - 1,
            )
            for k in range(1, len(self.dims))
        ]

    def write(self, folder: Path) -> VersionedEmbedding:
        """Write native vectors and transformations under `folder`; return the embedding."""
        versions = []
        for k, dim in enumerate(self.dims):
            path = folder / f"v{k}.parquet"
            rows = [row for row in self.rows if row.version == k]
            pq.write_table(native_table(rows, unchanged=self.keeps), path)
            link = stored(self.transforms[k - 1], folder / "backward") if k else None
            versions.append(
                EmbeddingVersion(
                    version=k,
                    dim=dim,
                    source=FileSource(
                        name=f"{self.name}_v{k}_vectors",
                        path=str(path),
                        timestamp_field="event_timestamp",
                    ),
                    transform=link,
                    activations=tuple(
                        Activation(at(start), None if end is None else at(end))
                        for start, end in self.active.get(k, ())
                    ),
                )
            )
        ttl = None if self.ttl_hours is None else timedelta(hours=self.ttl_hours)
        return VersionedEmbedding(
            self.name,
            versions=versions,
            entities=[USER],
            ttl=ttl,
            serving=self.serving,
            rollback_versions=self.rollback_versions,
            push=self.push,
            keep_unchanged=UNCHANGED if self.keeps else None,
        )

    def write_over(
        self, folder: Path, source: Callable[[EmbeddingVersion], DataSource]
    ) -> VersionedEmbedding:
        """As `write`, with another kind of batch source per version."""
        versions = self.write(folder).versions
        return VersionedEmbedding(
            self.name,
            versions=[replace(member, source=source(member)) for member in versions],
            entities=[USER],
            keep_unchanged=UNCHANGED if self.keeps else None,
        )

    def value(self, version: int, entity: int, hour: float) -> np.ndarray | None:
        """The oracle: the design's one sentence, word by word, one value at a time."""
        row = self._giving(version, entity, hour)
        if row is None or row.vector is None:
            return None
        vector = np.array([row.vector], np.float32)
        for step in reversed(self.transforms[version : row.version]):
            vector = step.apply(vector)
        value: np.ndarray = vector[0]
        return value

    def dated_by(self, version: int, entity: int, hour: float) -> Row | None:
        """The row whose instant is the value's timestamp; for a null the newest that counts."""
        giving = self._giving(version, entity, hour)
        rows = [row for _, row in self._counting(version, entity, hour)]
        return giving or max(rows, key=lambda row: row.hour, default=None)

    def _giving(self, version: int, entity: int, hour: float) -> Row | None:
        """The row that gives the value."""
        usable = [
            row
            for _, row in self._counting(version, entity, hour)
            if row.vector is not None
            and (self.ttl_hours is None or row.hour >= hour - self.ttl_hours)
        ]
        newest = usable[0] if usable else None
        if newest is None or not self.keeps or newest.unchanged is None:
            return newest
        seen = [
            row for row in usable if row.unchanged is not None and row.unchanged >= newest.unchanged
        ]
        return seen[-1]  # the oldest version's

    def _counting(self, version: int, entity: int, hour: float) -> list[tuple[int, Row]]:
        """The newest row of each version that counts, newest version first."""
        found = []
        for k in reversed(range(version, len(self.dims))):
            active = k == version or any(
                start <= hour and (end is None or hour < end)
                for start, end in self.active.get(k, ())
            )
            past = [r for r in self.rows if (r.version, r.entity) == (k, entity) and r.hour <= hour]
            if active and past:
                found.append((k, max(past, key=lambda row: row.hour)))
        return found


HISTORY = Family(
    dims=[2, 3, 2],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(0, 4, 0, (7, 8)),
        Row(1, 1, 4, (1, 2, 3)),
        Row(1, 3, 4, (4, 5, 6)),
        Row(1, 4, 4, None),
        Row(2, 1, 7, (5, 5)),
    ],
    active={1: [(5, None)], 2: [(8, 9)]},
)
"""Every user at another version; user 4's vector of version 1 is null."""

EXAMPLE = Family(
    dims=[2, 3],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(1, 1, 4, (1, 2, 3)),
        Row(1, 3, 4, (4, 5, 6)),
    ],
    active={1: [(5, None)]},
)
"""Version 1 takes over at hour 5, for users 1 and 3; user 2 only has version 0."""


KEEPS = Family(
    name="kept_embedding",
    dims=[2, 3, 2],
    rows=[
        Row(0, 1, 1, (1, 2), 1),
        Row(1, 1, 4, (1, 2, 3), 1),
        Row(0, 2, 1, (3, 4), 1),
        Row(1, 2, 4, (4, 5, 6), 3),
        Row(0, 3, 1, (5, 6), None),
        Row(1, 3, 4, (5, 5, 5), 1),
        Row(0, 4, 1, (7, 8), 0),
        Row(1, 4, 4, (6, 6, 6), 2),
        Row(2, 4, 5, (1, 1), 2),
        Row(0, 5, 1, (8, 9), 1),
        Row(1, 5, 4, (7, 7, 7), None),
    ],
    active={1: [(5, None)], 2: [(5, None)]},
    keeps=True,
)
"""At hour 6 user 1 keeps version 0's vector, user 4 version 1's; the others have changed, or nobody
says that they have not."""
KEPT_USERS = [1, 2, 3, 4, 5, 9]


def native_table(rows: Sequence[Row], *, unchanged: bool = False) -> pa.Table:
    """Native rows as a publisher stores them; maybe with what they say of their input."""
    said = pa.array(
        [None if row.unchanged is None else at(row.unchanged) for row in rows],
        pa.timestamp("us", "UTC"),
    )
    return pa.table(
        {
            **({UNCHANGED: said} if unchanged else {}),
            "user_id": pa.array([row.entity for row in rows], pa.int64()),
            "event_timestamp": pa.array([at(row.hour) for row in rows], pa.timestamp("us", "UTC")),
            "embedding": pa.array(
                [None if row.vector is None else list(row.vector) for row in rows],
                pa.list_(pa.float32()),
            ),
        }
    )


def make_store(
    folder: Path,
    *,
    offline: str = "duckdb",
    online: dict[str, object] | None = None,
    registry: RegistryConfig | None = None,
    provider: str = "feast_bc.BackwardCompatibleProvider",
    materialization: Mapping[str, object] | None = None,
) -> FeatureStore:
    """A feature store under `folder`."""
    return FeatureStore(
        config=RepoConfig(
            project="test",
            provider=provider,
            registry=registry or RegistryConfig(path=str(folder / "registry.db")),
            offline_store={"type": offline},
            online_store=online or {"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            materialization=materialization or {},
            repo_path=folder,
        )
    )


def online(store: FeatureStore, view: str, entities: Sequence[int]) -> list[np.ndarray | None]:
    """What the online store answers for a version view."""
    response = store.get_online_features(
        features=[f"{view}:embedding"], entity_rows=[{"user_id": e} for e in entities]
    ).to_dict()
    return [None if v is None else np.array(v, np.float32) for v in response["embedding"]]


def offline(
    store: FeatureStore, view: str, entities: Sequence[int], hours: Sequence[float]
) -> list[np.ndarray | None]:
    """What the offline store answers for a version view."""
    frame = pd.DataFrame({"user_id": list(entities), "event_timestamp": [at(h) for h in hours]})
    table = store.get_historical_features(frame, features=[f"{view}:embedding"]).to_arrow()
    assert table["user_id"].to_pylist() == list(entities)
    return [None if v is None else np.array(v, np.float32) for v in table["embedding"].to_pylist()]


def same(found: Sequence[np.ndarray | None], expected: Sequence[np.ndarray | None]) -> None:
    """Assert equality to float tolerance, null for null."""
    assert [f is None for f in found] == [e is None for e in expected], (found, expected)
    for one, other in zip(found, expected, strict=True):
        if one is not None and other is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
