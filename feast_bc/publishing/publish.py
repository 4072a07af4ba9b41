"""Publishing a version: check its vectors, measure its alignment, put it in the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.published_version import PublishedVersion
from feast_bc.errors import (
    CatalogError,
    ChainGapError,
    DirectionError,
    FeastBCError,
    UnknownVersionError,
)
from feast_bc.native.native_vectors import NativeVectors, Progress, read_native_vectors
from feast_bc.publishing.alignment import AlignmentReport
from feast_bc.publishing.alignment_report import alignment_report
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import load_artifact
from feast_bc.transforms.holdout import Holdout

Stages = Callable[[str], Progress]
"""Announces a stage of the work and returns what counts its rows."""


def publish_version(
    catalog: EmbeddingCatalog,
    embedding: str,
    version: int,
    *,
    source: DataSource,
    artifact: str | Path | None = None,
    join_keys: Sequence[str] | None = None,
    feature: str = "embedding",
    metrics: Mapping[str, Any] | None = None,
    config: RepoConfig | None = None,
    stages: Stages | None = None,
) -> CatalogChange:
    """Check every native vector of version k, measure B_k, and publish.

    The alignment with every older version is stored in the manifest, under
    metrics["alignment"]; the artifact's own metrics under metrics["training"].

    Args:
        catalog: where to publish.
        embedding, version: what to publish.
        source: the Feast batch source with the native vectors.
        artifact: the folder that `save_artifact` wrote for B_k; None for version 0.
        join_keys: the entity key columns; None for those of the older versions.
        feature: the vector column.
        metrics: more JSON values to keep.
        config: the feature repo's configuration, for sources that are not parquet files.
        stages: tells progress.

    Raises:
        InvalidVectorsError, DimensionError: as `read_native_vectors`.
        ArtifactError: as `load_artifact`.
        VersionConflictError, ChainGapError, DirectionError, CatalogError: as
            `EmbeddingCatalog.publish`. In every case nothing was published.
    """
    known = _known(catalog, embedding)
    older = known[:version]
    transform, holdout, kept = _load(embedding, version, artifact)
    chains = _chains(embedding, transform, older)
    keys = join_keys or (older[0].manifest.join_keys if older else None)
    if not keys:
        raise CatalogError(
            f"{embedding} version {version} has no older version to take the join keys from. Name "
            "them (--join-key user_id)."
        )
    stages = stages or (lambda _: lambda _rows, _total: None)
    native = read_native_vectors(
        source,
        join_keys=keys,
        dim=transform.from_dim if transform else None,
        feature=feature,
        config=config,
        progress=stages(f"checking the vectors of version {version}"),
    )
    kept.update(metrics or {})
    if chains:
        report = _measure(native, chains, older, holdout, config, stages)
        kept["alignment"] = report.to_json()
    return catalog.publish(
        embedding,
        version,
        source=source,
        dim=native.dim,
        join_keys=keys,
        transform=transform,
        feature=feature,
        holdout=holdout,
        metrics=kept,
        known=known,
    )


def _known(catalog: EmbeddingCatalog, embedding: str) -> list[PublishedVersion]:
    """All versions that there are."""
    try:
        return catalog.published(embedding)
    except UnknownVersionError:
        return []


def _load(
    embedding: str, version: int, artifact: str | Path | None
) -> tuple[BackwardTransform | None, Holdout | None, dict[str, Any]]:
    if artifact is None:
        if version:
            raise ChainGapError(
                f"{embedding} version {version} needs its backward transformation {version} -> "
                f"{version - 1}. Name its artifact (--transform DIR)."
            )
        return None, None, {}
    transform, manifest = load_artifact(artifact)
    if (transform.from_version, transform.to_version) != (version, version - 1):
        expected = f"a transformation {version} -> {version - 1}" if version else "none"
        raise DirectionError(
            f"{artifact}: {embedding} version {version} takes {expected}, found {transform!r}."
        )
    holdout = None if manifest.holdout is None else manifest.holdout.as_holdout()
    return transform, holdout, {"training": manifest.metrics} if manifest.metrics else {}


def _chains(
    embedding: str,
    transform: BackwardTransform | None,
    older: Sequence[PublishedVersion],
) -> list[BackwardTransform]:
    """k -> k-1, ..., k -> 0; fails early where the new link does not fit the older ones."""
    if transform is None:
        return []
    k = transform.from_version
    if len(older) < k:
        raise ChainGapError(
            f"{embedding} version {k}: version {len(older)} must be published first; published: "
            f"{', '.join(str(v.version) for v in older) or 'none'}."
        )
    chains = [transform]
    for published in reversed(older):
        if published.transform is not None:
            chains.append(compose([chains[-1], published.transform.load()]))
    return chains


def _measure(
    native: NativeVectors,
    chains: Sequence[BackwardTransform],
    older: Sequence[PublishedVersion],
    holdout: Holdout | None,
    config: RepoConfig | None,
    stages: Stages,
) -> AlignmentReport:
    read: dict[int, NativeVectors | FeastBCError] = {}
    for published in older:
        manifest = published.manifest
        try:
            read[published.version] = read_native_vectors(
                manifest.source,
                join_keys=manifest.join_keys,
                dim=manifest.dim,
                feature=manifest.feature,
                config=config,
                progress=stages(f"reading version {published.version}"),
            )
        except FeastBCError as error:
            read[published.version] = error
    return alignment_report(
        native, chains, read, holdout=holdout, progress=stages("measuring the alignment")
    )
