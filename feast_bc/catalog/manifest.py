"""The manifest of a published embedding version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from feast.data_source import DataSource

from feast_bc.catalog.data_source_json import source_from_json, source_to_json
from feast_bc.errors import ArtifactError, CatalogError
from feast_bc.transforms.artifact import MANIFEST_FILE, SCHEMA_VERSION, check_schema
from feast_bc.transforms.holdout import Holdout

_NOT_IDENTITY = {"published_at", "feast_bc_version"}


def _release() -> str:
    try:
        return installed_version("feast-bc")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


@dataclass(frozen=True)
class TransformEntry:
    """What a manifest says about the version's backward transformation.

    Attributes:
        kind: "affine", "truncation" or "mlp".
        from_version, to_version, from_dim, to_dim: as on `BackwardTransform`.
        file: the safetensors file, in the manifest's own folder.
        sha256: hex digest of that file.
    """

    kind: str
    from_version: int
    to_version: int
    from_dim: int
    to_dim: int
    file: str
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "direction": {"from": self.from_version, "to": self.to_version},
            "dims": {"from": self.from_dim, "to": self.to_dim},
            "file": self.file,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> TransformEntry:
        return cls(
            kind=entry["kind"],
            from_version=entry["direction"]["from"],
            to_version=entry["direction"]["to"],
            from_dim=entry["dims"]["from"],
            to_dim=entry["dims"]["to"],
            file=entry["file"],
            sha256=entry["sha256"],
        )


@dataclass(frozen=True)
class Manifest:
    """Everything that `publish` fixes about version k, once and for all.

    Attributes:
        embedding: the embedding's name.
        version: k >= 0.
        dim: D_k.
        feature: the vector column of the source (after its field mapping).
        join_keys: the entity key columns.
        source: the Feast batch source with the native vectors.
        transform: the backward transformation k -> k-1; None for version 0.
        parent: hex sha256 of version k-1's manifest; None for version 0.
        holdout: which entities the fit of the transformation did not see, if declared.
        metrics: numbers of training, and the alignment measured at publish under "alignment".
        published_at: aware datetime.
        feast_bc_version: the release that published it.
    """

    embedding: str
    version: int
    dim: int
    feature: str
    join_keys: tuple[str, ...]
    source: DataSource
    transform: TransformEntry | None
    parent: str | None
    holdout: Holdout | None
    metrics: Mapping[str, Any]
    published_at: datetime
    feast_bc_version: str = field(default_factory=_release)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "embedding": self.embedding,
            "version": self.version,
            "dim": self.dim,
            "feature": self.feature,
            "join_keys": list(self.join_keys),
            "source": source_to_json(self.source),
            "transform": self.transform.to_json() if self.transform else None,
            "parent": self.parent,
            "holdout": self.holdout.to_dict() if self.holdout else None,
            "metrics": self.metrics,
            "published_at": self.published_at.isoformat(),
            "feast_bc_version": self.feast_bc_version,
        }

    def dumps(self) -> bytes:
        """The bytes of manifest.json. Raises CatalogError for metrics that JSON cannot hold."""
        try:
            return (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode()
        except (TypeError, ValueError) as error:
            raise CatalogError(
                f"{self.embedding} version {self.version}: metrics must be plain JSON values and "
                f"finite numbers ({error})."
            ) from error

    @classmethod
    def loads(cls, data: bytes, *, of: str) -> Manifest:
        """Read manifest.json back.

        Args:
            data: its bytes.
            of: its URI, for error messages.

        Raises:
            ArtifactError: not a manifest, or of a newer schema.
            CatalogError: its data source cannot be rebuilt here.
        """
        try:
            entry = json.loads(data)
            check_schema(entry["schema_version"], of=of)
            transform, holdout = entry["transform"], entry["holdout"]
            return cls(
                embedding=entry["embedding"],
                version=entry["version"],
                dim=entry["dim"],
                feature=entry["feature"],
                join_keys=tuple(entry["join_keys"]),
                source=source_from_json(entry["source"], of=of),
                transform=None if transform is None else TransformEntry.from_json(transform),
                parent=entry["parent"],
                holdout=None if holdout is None else Holdout(**holdout),
                metrics=entry["metrics"],
                published_at=datetime.fromisoformat(entry["published_at"]),
                feast_bc_version=entry["feast_bc_version"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"{of}: expected a manifest of schema version {SCHEMA_VERSION}, found "
                f"{len(data)} bytes that are none ({type(error).__name__}: {error}). Restore the "
                "file from a backup."
            ) from error

    def differences(self, other: Manifest) -> list[str]:
        """Names of the fields in which two manifests mean different things.

        When and by which release they were published does not count, nor does the alignment:
        it is measured on what the source held on that day.
        """
        mine, theirs = _identity(self), _identity(other)
        return [name for name in mine if mine[name] != theirs[name]]


def check_name(embedding: str) -> None:
    """Raise CatalogError unless the name can become the name of feature views."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", embedding):
        raise CatalogError(
            f"Embedding name {embedding!r}: expected a letter, then letters, digits or "
            "underscores, because it becomes the name of feature views. Example: user_embedding."
        )


def _identity(manifest: Manifest) -> dict[str, Any]:
    metrics = {k: v for k, v in manifest.metrics.items() if k != "alignment"}
    # Through JSON, so that a manifest just made equals the same one read back.
    entry: dict[str, Any] = json.loads(replace(manifest, metrics=metrics).dumps())
    return {name: value for name, value in entry.items() if name not in _NOT_IDENTITY}


def version_path(embedding: str, version: int, file: str = MANIFEST_FILE) -> str:
    """Where a file of a version stands below the catalog's root; its manifest by default."""
    return f"{embedding}/v{version}/{file}"
