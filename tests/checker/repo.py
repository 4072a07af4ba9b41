"""A real feature repo, driven through the public surface only."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from feast import Entity, FeatureStore, FeatureView, RepoConfig
from feast.data_source import PushMode
from feast.repo_config import RegistryConfig
from feast.value_type import ValueType

from feast_bc import (
    AffineTransform,
    BackwardTransform,
    EmbeddingCatalog,
    MLPTransform,
    TruncationTransform,
    VersionedEmbedding,
    drop_serving,
    historical_vectors,
    online_vectors,
    prepare_serving,
    save_artifact,
)
from feast_bc.cli.commands import main
from feast_bc.cli.group import PUBLISH_CHECKS
from feast_bc.views.lineage import ACCEPT
from tests.checker.clock import instant
from tests.checker.oracle import Link, Row
from tests.checker.vectors import Family, Vector

_VALUE_TYPES = {"int64": ValueType.INT64, "string": ValueType.STRING}
_ARROW_TYPES = {"int64": pa.int64(), "string": pa.string()}
UNCHANGED = "input_since"
"""The column that says from when a row's input is unchanged."""

_MODES = {
    "online": PushMode.ONLINE,
    "offline": PushMode.OFFLINE,
    "both": PushMode.ONLINE_AND_OFFLINE,
}

Found = tuple[Vector | None, int | None]
"""A value that was read, and its event timestamp in whole seconds of Unix time, if it has one."""


class Repo:
    """A feature repo in a folder of its own.

    Args:
        folder: an empty folder.
        families: what may be published there.
        online, offline: Feast's configuration of the stores.
    """

    def __init__(
        self,
        folder: Path,
        families: Sequence[Family],
        *,
        online: dict[str, object],
        offline: str,
    ) -> None:
        self.folder = folder
        self.families = families
        self._config = RepoConfig(
            # Histories share a Redis server: a project of its own keeps each by itself.
            project=f"checker_{uuid.uuid4().hex}",
            provider="feast_bc.BackwardCompatibleProvider",
            registry=RegistryConfig(path=str(folder / "registry.db")),
            offline_store={"type": offline},
            online_store=online,
            entity_key_serialization_version=3,
            repo_path=folder,
        )
        self._entities = {
            family.name: [
                Entity(name=key, join_keys=[key], value_type=_VALUE_TYPES[kind])
                for key, kind in family.keys.items()
            ]
            for family in families
        }
        self.reopen()

    def reopen(self) -> None:
        """Go on as another process would."""
        self.store = FeatureStore(config=self._config)

    def cli(self, *arguments: object) -> int:
        """Run a `feast-bc` command; return its exit code."""
        result = CliRunner().invoke(
            main, [str(a) for a in arguments], env={"FEAST_BC_CATALOG": self._catalog.root}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code

    def publish(self, family: Family, version: int) -> int:
        """Publish a version whose native rows are in its batch source."""
        # Rows may lie ahead of the clock, and links are random: nobody claims that they align
        # anything.
        force = [f"--force={name}" for name in PUBLISH_CHECKS]
        source = ["--vectors", self._source(family, version), *force]
        if version == 0:
            keys = [option for key in family.keys for option in ("--join-key", key)]
            return self.cli("publish", family.name, 0, *source, *keys)
        artifact = self.folder / f"{family.name}_b{version}"
        if not artifact.exists():
            save_artifact(_transform(family.links[version], version, family.dims), artifact)
        return self.cli("publish", family.name, version, *source, "--transform", artifact)

    def write(self, family: Family, version: int, rows: Iterable[Row]) -> None:
        """Make these rows the batch source of a version."""
        rows = list(rows)
        columns: dict[str, Any] = {
            key: pa.array(values, _ARROW_TYPES[family.keys[key]])
            for key, values in family.columns([row.entity for row in rows]).items()
        }
        instants = [instant(row.at) for row in rows]
        columns["event_timestamp"] = pa.array(instants, pa.timestamp("us", "UTC"))
        said = [None if row.unchanged is None else instant(row.unchanged) for row in rows]
        columns[UNCHANGED] = pa.array(said, pa.timestamp("us", "UTC"))
        vectors = [None if row.null else family.native(row) for row in rows]
        columns["embedding"] = pa.array(vectors, pa.list_(pa.float32()))
        pq.write_table(pa.table(columns), self._source(family, version))

    def apply(
        self,
        family: Family,
        versions: Sequence[int] | None,
        ttl: int | None,
        serving: Any,
        rollbacks: int,
        *,
        keeps: bool = False,
    ) -> None:
        """Apply some views of a family, or all of them as `feast apply` does."""
        embedding = VersionedEmbedding.from_catalog(
            self._catalog,
            family.name,
            entities=self._entities[family.name],
            ttl=None if ttl is None else timedelta(seconds=ttl),
            serving=serving,
            rollback_versions=rollbacks,
            push=not keeps,
            keep_unchanged=UNCHANGED if keeps else None,
        )
        entities = self._entities[family.name]
        views = embedding.feature_views()
        if versions is not None:
            self.store.apply([*entities, *(views[family.view(k)] for k in versions)])
            return
        gone = [
            view
            for view in self.store.list_feature_views()
            if view.name.startswith(f"{family.name}_v") and view.name not in views
        ]
        self.store.apply([*entities, *views.values()], _with_sources(gone), partial=False)

    def delete(self, family: Family, version: int) -> None:
        """Delete a view from the repo; the last one too, which has to be said by name."""
        view = self.store.get_feature_view(family.view(version))
        with mock.patch.dict(os.environ, {ACCEPT: f"{family.name}@none"}):
            self.store.apply([*self._entities[family.name]], _with_sources([view]), partial=False)

    def materialize(self, start: int | None, end: int, views: list[str] | None) -> None:
        with _quiet():
            if start is None:
                self.store.materialize_incremental(instant(end), feature_views=views)
            else:
                self.store.materialize(instant(start), instant(end), feature_views=views)

    def push(self, family: Family, version: int, rows: Sequence[Row], to: str) -> None:
        frame = pd.DataFrame(
            {
                **family.columns([row.entity for row in rows]),
                "event_timestamp": pd.to_datetime([instant(row.at) for row in rows], utc=True),
                UNCHANGED: pd.Series([pd.NaT] * len(rows), dtype="datetime64[us, UTC]"),
                "embedding": [np.array(family.native(row), np.float32) for row in rows],
            }
        )
        if to == "write":
            self.store.write_to_online_store(family.view(version), frame)
        else:
            self.store.push(f"{family.view(version)}_push", frame, to=_MODES[to])

    def prepare(self, family: Family, serving: Any, end: int) -> None:
        with _quiet():
            prepare_serving(self.store, family.name, serving, end=instant(end))

    def drop(self, family: Family, serving: Any) -> None:
        drop_serving(self.store, family.name, serving)

    def online(self, family: Family, versions: Sequence[int]) -> dict[int, list[Found]]:
        """What `get_online_features` answers, per view for all entities."""
        rows = [dict(zip(family.keys, ids, strict=True)) for ids in family.ids]
        features = [f"{family.view(k)}:embedding" for k in versions]
        response = self.store.get_online_features(features, rows, full_feature_names=True)
        answer = response.to_dict(include_event_timestamps=True)
        return {
            k: [
                (None if value is None else tuple(value), stamp or None)
                for value, stamp in zip(answer[name], answer[f"{name}__ts"], strict=True)
            ]
            for k in versions
            for name in [f"{family.view(k)}__embedding"]
        }

    def online_vectors(self, family: Family, version: int) -> list[Vector | None]:
        """What `online_vectors` answers for all entities."""
        ids: Any = [dict(zip(family.keys, ids, strict=True)) for ids in family.ids]
        if len(family.keys) == 1:
            ids = [i for (i,) in family.ids]
        return _vectors(*online_vectors(self.store, family.view(version), ids))

    def offline(
        self, family: Family, versions: Sequence[int], asked: Sequence[tuple[int, int]], how: str
    ) -> dict[int, list[Vector | None]]:
        """What `get_historical_features` answers for (entity, instant) pairs.

        Args:
            how: read the answer with "to_arrow" or with "historical_vectors".
        """
        frame = pd.DataFrame(
            {
                **family.columns([entity for entity, _ in asked]),
                "event_timestamp": pd.to_datetime([instant(t) for _, t in asked], utc=True),
                "label": range(len(asked)),
            }
        )
        features = [f"{family.view(k)}:embedding" for k in versions]
        job = self.store.get_historical_features(frame, features, full_feature_names=True)
        names = {k: f"{family.view(k)}__embedding" for k in versions}
        if how == "historical_vectors":
            found = historical_vectors(job)
            labels = found.columns["label"]
            values = {k: _vectors(found.vectors[n], found.present[n]) for k, n in names.items()}
        else:
            table = job.to_arrow()
            labels = table["label"]
            values = {
                k: [None if v is None else tuple(v) for v in table[n].to_pylist()]
                for k, n in names.items()
            }
        if labels.to_pylist() != list(range(len(asked))):
            raise AssertionError(f"rows dropped, repeated or reordered: {labels.to_pylist()}")
        return values

    @property
    def _catalog(self) -> EmbeddingCatalog:
        return EmbeddingCatalog(self.folder / "catalog")

    def _source(self, family: Family, version: int) -> Path:
        return self.folder / f"{family.name}_{version}.parquet"


def _with_sources(views: Sequence[FeatureView]) -> list[Any]:
    return [o for view in views for o in (view, view.batch_source, view.stream_source)]


def _vectors(vectors: np.ndarray, present: np.ndarray) -> list[Vector | None]:
    if not np.isnan(vectors[~present]).all():
        raise AssertionError("a missing vector is not NaN")
    pairs = zip(vectors.tolist(), present.tolist(), strict=True)
    return [tuple(v) if there else None for v, there in pairs]


def _transform(link: Link, version: int, dims: Sequence[int]) -> BackwardTransform:
    versions = {"from_version": version, "to_version": version - 1}
    if link["kind"] == "truncation":
        return TruncationTransform(from_dim=dims[version], to_dim=dims[version - 1], **versions)
    if link["kind"] == "affine":
        return AffineTransform(np.array(link["weight"]), np.array(link["bias"]), **versions)
    layers = [(np.array(weight), np.array(bias)) for weight, bias in link["layers"]]
    return MLPTransform(layers, **versions)


@contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints what it materializes."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
