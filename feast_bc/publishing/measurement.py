"""Measuring a version's chains against the native vectors that its source holds today."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from feast.repo_config import RepoConfig

from feast_bc.catalog.published_version import PublishedVersion
from feast_bc.errors import ChainGapError, DirectionError, FeastBCError
from feast_bc.native.native_vectors import NativeVectors, Progress, read_native_vectors
from feast_bc.publishing.source_check import check_source
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import load_artifact
from feast_bc.transforms.holdout import Holdout

Stages = Callable[[str], Progress]
"""Announces a stage of the work and returns what counts its rows."""

Natives = Mapping[int, NativeVectors | FeastBCError]
"""Per version its native vectors, or the error that reading them gave."""


def silent(_: str) -> Progress:
    """Tells nobody."""
    return lambda _rows, _total: None


def load_link(
    embedding: str, version: int, artifact: str | Path
) -> tuple[BackwardTransform, Holdout | None, dict[str, Any]]:
    """B_k from an artifact, which entities its fit did not see, and the numbers of its training.

    Raises:
        ArtifactError: as `load_artifact`.
        DirectionError: it does not lead from version k to k-1.
    """
    transform, manifest = load_artifact(artifact)
    if (transform.from_version, transform.to_version) != (version, version - 1):
        expected = f"a transformation {version} -> {version - 1}" if version else "none"
        raise DirectionError(
            f"{artifact}: {embedding} version {version} takes {expected}, found {transform!r}."
        )
    holdout = None if manifest.holdout is None else manifest.holdout.as_holdout()
    return transform, holdout, manifest.metrics


def links_below(
    embedding: str, transform: BackwardTransform, older: Sequence[PublishedVersion]
) -> list[BackwardTransform]:
    """B_1, ..., B_{k-1}, read once.

    Args:
        embedding: its name.
        transform: B_k.
        older: versions 0, ..., k-1.

    Raises:
        ChainGapError: one of them is missing.
    """
    k = transform.from_version
    if len(older) < k:
        raise ChainGapError(
            f"{embedding} version {k}: version {len(older)} must be published first; published: "
            f"{', '.join(str(v.version) for v in older) or 'none'}."
        )
    return [v.transform.load() for v in older[1:k] if v.transform]


def chains_over(
    transform: BackwardTransform, links: Sequence[BackwardTransform]
) -> list[BackwardTransform]:
    """k -> k-1, ..., k -> 0, given B_k and B_1, ..., B_{k-1}; fails where a link does not fit."""
    chains = [transform]
    for link in reversed(links):
        chains.append(compose([chains[-1], link]))
    return chains


def previous_chains(links: Sequence[BackwardTransform]) -> list[BackwardTransform]:
    """k-1 -> k-2, ..., k-1 -> 0, given B_1, ..., B_{k-1}: what served before version k."""
    return chains_over(links[-1], links[:-1]) if links else []


def read_natives(
    versions: Sequence[PublishedVersion], config: RepoConfig | None, stages: Stages
) -> Natives:
    """The native vectors of published versions, as far as they are what was published."""
    read: dict[int, NativeVectors | FeastBCError] = {}
    for published in versions:
        manifest = published.manifest
        try:
            check_source(published, config)
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
    return read
