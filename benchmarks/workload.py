"""A versioned embedding of random vectors, and the same values as plain precomputed tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.types import Array, Float32, Int64
from feast.value_type import ValueType

from feast_bc import AffineTransform, EmbeddingVersion, VersionedEmbedding
from feast_bc.columns.arrays import Matrix
from feast_bc.columns.vectors import from_matrix
from feast_bc.rule import Activation
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import TransformRef, digest, dumps
from feast_bc.transforms.location import tensor_file

NAME = "user_embedding"
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
TEXT_USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
PROVIDER = "feast_bc.BackwardCompatibleProvider"
_ROWS_PER_FILE_STEP = 100_000


def computed(version: int) -> datetime:
    """When a version's vectors were computed and it took over; every ten days one does."""
    return EPOCH + timedelta(days=10 * version)


@dataclass(frozen=True)
class Workload:
    """Versions 0..K of `dim` dimensions, each with one native row per entity.

    Attributes:
        folder: where the files go.
        entities, versions, dim: the sizes. Entity ids are 0, 1, ..., entities - 1.
        shuffled: whether each version has its rows in an order of its own.
        files: over how many files each version's vectors are spread, in a folder if not one.
        text_keys: whether entity ids are text of 12 characters.
    """

    folder: Path
    entities: int
    versions: int
    dim: int
    shuffled: bool = False
    files: int = 1
    text_keys: bool = False

    @property
    def entity(self) -> Entity:
        return TEXT_USER if self.text_keys else USER

    @property
    def after(self) -> datetime:
        """An instant after everything."""
        return computed(self.versions)

    def native(self, version: int, ids: np.ndarray) -> Matrix:
        """Version k's vectors of consecutive ids."""
        rng = np.random.default_rng([version, int(ids[0])])
        return rng.standard_normal((len(ids), self.dim), np.float32)

    def backward(self, version: int) -> AffineTransform:
        """B_k: random; it about keeps the length of a vector."""
        rng = np.random.default_rng(version)
        weight = rng.normal(size=(self.dim, self.dim)) / np.sqrt(self.dim)
        return AffineTransform(weight, from_version=version, to_version=version - 1)

    def chain(self, newest: int, view: int) -> BackwardTransform | None:
        """The folded chain newest -> view, or None where they are the same."""
        steps = [self.backward(k) for k in range(newest, view, -1)]
        return compose(steps) if steps else None

    def embedding(
        self, source: Callable[[str, Path], DataSource] | None = None, **options: Any
    ) -> VersionedEmbedding:
        """Write native vectors and transformations; return the embedding over them.

        Args:
            source: makes the batch source of a name and a parquet file; a FileSource by default.
            options: of `VersionedEmbedding`.
        """
        members = []
        for k in range(self.versions):
            path = self.folder / f"native_v{k}{'.parquet' if self.files == 1 else ''}"
            self._write_native(path, k)
            link = None
            if k:
                data = dumps(self.backward(k))
                file = self.folder / f"v{k}" / tensor_file(digest(data))
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)
                link = TransformRef(str(file), digest(data), k, k - 1, self.dim, self.dim)
            members.append(
                EmbeddingVersion(
                    version=k,
                    dim=self.dim,
                    source=(source or _source)(f"native_v{k}", path),
                    transform=link,
                    activations=(Activation(computed(k)),) if k else (),
                )
            )
        return VersionedEmbedding(NAME, versions=members, entities=[self.entity], **options)

    def precomputed(self, name: str, versions: Sequence[int], view: int) -> FeatureView:
        """A plain view with view j's values, as a team without feast-bc would compute them.

        Args:
            name: of the view.
            versions: those whose native rows give the table its rows: all k >= j for the view's
                whole history, the newest alone for today's values.
            view: j.
        """
        path = self.folder / f"{name}.parquet"
        _write(path, (batch for k in versions for batch in self._rows(k, view)))
        return FeatureView(
            name=name,
            entities=[USER],
            schema=[
                Field(name="user_id", dtype=Int64),
                Field(name="embedding", dtype=Array(Float32)),
            ],
            source=_source(name, path),
            ttl=timedelta(0),
        )

    def _write_native(self, path: Path, version: int) -> None:
        if self.files == 1:
            _write(path, self._rows(version, version))
            return
        path.mkdir()
        step = -(-self.entities // self.files)
        for part, rows in enumerate(self._rows(version, version, step)):
            _write(path / f"part-{part:05}.parquet", [rows])

    def _rows(self, version: int, view: int, step: int = _ROWS_PER_FILE_STEP) -> Iterable[pa.Table]:
        chain = self.chain(version, view)
        for start in range(0, self.entities, step):
            ids = np.arange(start, min(start + step, self.entities))
            vectors = self.native(version, ids)
            if self.shuffled:
                order = np.random.default_rng(version).permutation(len(ids))
                ids, vectors = ids[order], vectors[order]
            yield pa.table(
                {
                    "user_id": [f"user{i:08}" for i in ids.tolist()] if self.text_keys else ids,
                    "event_timestamp": pa.array(
                        [computed(version)] * len(ids), pa.timestamp("us", "UTC")
                    ),
                    "embedding": from_matrix(vectors if chain is None else chain.apply(vectors)),
                }
            )


def make_store(
    folder: Path,
    provider: str,
    objects: Sequence[object],
    online: dict[str, Any] | None = None,
    offline: dict[str, Any] | None = None,
) -> FeatureStore:
    """A feature repo in a folder of its own, with some objects applied; over DuckDB by default."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "project": folder.name,
        "provider": provider,
        "registry": str(folder / "registry.db"),
        "offline_store": offline or {"type": "duckdb"},
        "online_store": online or {"type": "sqlite", "path": str(folder / "online.db")},
        "entity_key_serialization_version": 3,
    }
    (folder / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    store = FeatureStore(str(folder))
    store.apply(list(objects))
    return store


def _source(name: str, path: Path) -> FileSource:
    return FileSource(
        name=name,
        path=str(path),
        timestamp_field="event_timestamp",
        file_format=ParquetFormat(),
    )


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
