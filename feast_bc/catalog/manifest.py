"""The manifest of a published embedding version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from feast.data_source import DataSource
from pydantic import Field

from feast_bc.catalog.data_source_json import source_from_json, source_to_json
from feast_bc.errors import CatalogError
from feast_bc.stored_format import Instant, JsonObject, StoredFormat, json_values
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.artifact import digest
from feast_bc.transforms.base import MAX_DIM
from feast_bc.transforms.entry import HoldoutEntry, TransformEntry
from feast_bc.transforms.holdout import Holdout
from feast_bc.transforms.location import tensor_file

_NOT_IDENTITY = {"published_at", "feast_bc_version"}


def _release() -> str:
    try:
        return installed_version("feast-bc")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


class StoredTransform(TransformEntry):
    """A version's backward transformation.

    Attributes:
        file: the safetensors file, in the version's folder.
    """

    file: str

    @classmethod
    def new(cls, transform: BackwardTransform, data: bytes) -> StoredTransform:
        """Describe a transformation whose file holds `data`, and give the file a name."""
        # Named by content: racing publishers never write over one another.
        file = tensor_file(digest(data))
        return cls(**dict(TransformEntry.of(transform, digest(data))), file=file)


class Manifest(StoredFormat):
    """Everything that `publish` fixes about version k, once and for all.

    Attributes:
        embedding: the embedding's name.
        version: k >= 0.
        dim: D_k.
        feature: the vector column of the source (after its field mapping).
        join_keys: the entity key columns.
        stored_source: the Feast batch source with the native vectors, from `source_to_json`.
        transform: the backward transformation k -> k-1; None for version 0.
        parent: hex sha256 of version k-1's manifest; None for version 0.
        stored_holdout: which entities the fit of the transformation did not see, if declared.
        metrics: numbers of training, the alignment measured at publish under "alignment", and
            where the version was made under "links".
        published_at: aware datetime.
        feast_bc_version: the release that published it.
    """

    NOUN = "a manifest"
    SCHEMA = 1

    embedding: str
    version: int = Field(ge=0)
    dim: int = Field(ge=1, le=MAX_DIM)
    feature: str
    join_keys: tuple[str, ...]
    stored_source: JsonObject = Field(alias="source")
    transform: StoredTransform | None
    parent: str | None
    stored_holdout: HoldoutEntry | None = Field(alias="holdout")
    metrics: JsonObject
    published_at: Instant
    feast_bc_version: str

    @classmethod
    def new(
        cls,
        *,
        embedding: str,
        version: int,
        dim: int,
        feature: str,
        join_keys: Sequence[str],
        source: DataSource,
        transform: StoredTransform | None,
        parent: str | None,
        holdout: Holdout | None,
        metrics: Mapping[str, Any],
    ) -> Manifest:
        """The manifest of a version that is published now, by this release.

        Raises:
            CatalogError: JSON cannot hold the metrics.
        """
        return cls(
            schema_version=cls.SCHEMA,
            embedding=embedding,
            version=version,
            dim=dim,
            feature=feature,
            join_keys=tuple(join_keys),
            stored_source=source_to_json(source),
            transform=transform,
            parent=parent,
            stored_holdout=HoldoutEntry.of(holdout),
            metrics=json_values(metrics, of=f"{embedding} version {version}"),
            published_at=datetime.now(timezone.utc),
            feast_bc_version=_release(),
        )

    @classmethod
    def loads(cls, data: bytes, *, of: str) -> Manifest:
        """As `StoredFormat.loads`.

        Raises:
            CatalogError: the data source cannot be rebuilt here.
        """
        manifest = super().loads(data, of=of)
        source_from_json(manifest.stored_source, of=of)
        return manifest

    @cached_property
    def source(self) -> DataSource:
        """The Feast batch source with the native vectors."""
        return source_from_json(
            self.stored_source, of=f"the manifest of {self.embedding} version {self.version}"
        )

    @property
    def holdout(self) -> Holdout | None:
        """Which entities the fit of the transformation did not see, if declared."""
        return None if self.stored_holdout is None else self.stored_holdout.as_holdout()

    @property
    def links(self) -> dict[str, str]:
        """Where the version was made: "run" and "model", as far as they were named."""
        links: object = self.metrics.get("links")
        return {str(k): str(v) for k, v in links.items()} if isinstance(links, dict) else {}

    def differences(self, other: Manifest) -> list[str]:
        """Names of the fields in which two manifests mean different things.

        When and by which release they were published does not count, nor do links, nor the
        alignment: it is measured on what the source held on that day.
        """
        mine, theirs = _identity(self), _identity(other)
        return [name for name in mine if mine[name] != theirs[name]]


def is_name(embedding: str) -> bool:
    """Whether a name can become the name of feature views."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", embedding) is not None


def check_name(embedding: str) -> None:
    """Raise CatalogError unless `is_name`."""
    if not is_name(embedding):
        raise CatalogError(
            f"Embedding name {embedding!r}: expected a letter, then letters, digits or "
            "underscores, because it becomes the name of feature views. Example: user_embedding."
        )


def _identity(manifest: Manifest) -> dict[str, Any]:
    entry = manifest.as_json()
    for told in ("alignment", "links"):
        entry["metrics"].pop(told, None)
    return {name: value for name, value in entry.items() if name not in _NOT_IDENTITY}


def version_path(embedding: str, version: int, file: str) -> str:
    """Where a file of a version stands below the catalog's root."""
    return f"{embedding}/v{version}/{file}"


def manifest_path(embedding: str, version: int, sha256: str) -> str:
    """Where the manifest of a digest stands: named by content, nothing is ever written over it."""
    return version_path(embedding, version, f"manifest-{sha256[:12]}.json")
