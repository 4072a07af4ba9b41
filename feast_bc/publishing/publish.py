"""Publishing a version: check its vectors, measure its alignment, put it in the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import check_note
from feast_bc.catalog.link import check_join_keys
from feast_bc.errors import CatalogError, ChainGapError
from feast_bc.native.native_vectors import read_native_vectors
from feast_bc.publishing.alignment_report import alignment_report
from feast_bc.publishing.measurement import (
    Stages,
    chains_over,
    links_below,
    load_link,
    previous_chains,
    read_natives,
    silent,
)
from feast_bc.publishing.quality_gate import QualityGate, Verdict
from feast_bc.publishing.refusal import Check, waive
from feast_bc.publishing.source_check import check_source
from feast_bc.publishing.vector_checks import check_key_kinds, vectors_ahead


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
    links: Mapping[str, str] | None = None,
    config: RepoConfig | None = None,
    gate: QualityGate | None = None,
    force: Collection[Check] = (),
    max_shrink: float | None = None,
    note: str | None = None,
    stages: Stages = silent,
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
        links: where the version was made: the addresses of its "run" and its "model", as the
            team's experiment tracker has them. They are kept as they are, and open nothing.
        config: the feature repo's configuration, for sources that are not parquet files.
        gate: the thresholds; `QualityGate()` by default.
        force: the checks to waive (`feast_bc.publishing.refusal.GATE_CHECKS`, "future-vectors");
            those that did not pass are kept in the event.
        max_shrink: of a version that is published already: which share of its rows may be gone;
            what its source holds now is noted then. None for `MAX_SHRINK`, and notes nothing new
            unless nothing was noted.
        note: what to say of the version; kept in the event of its publication.
        stages: tells progress.

    Raises:
        QualityGateError: the gate does not pass, or vectors lie in the future.
        SourceChangedError: the version is published already, and its source does not hold what it
            held then.
        InvalidVectorsError, DimensionError: as `read_native_vectors`; also for join keys of
            another type than the older versions'.
        ArtifactError: as `load_artifact`.
        VersionConflictError, ChainGapError, DirectionError, CatalogError: as
            `EmbeddingCatalog.publish`. In every case nothing was published.
    """
    if note is not None:
        check_note(note)
    known = catalog.shelf(embedding, empty=True)
    older = known.versions[:version]
    transform, holdout, kept = None, None, dict(metrics or {})
    if links:
        kept["links"] = dict(links)
    if artifact is not None:
        transform, holdout, training = load_link(embedding, version, artifact)
        kept = {"training": training, **kept} if training else kept
    elif version:
        raise ChainGapError(
            f"{embedding} version {version} needs its backward transformation {version} -> "
            f"{version - 1}. Name its artifact (--transform DIR)."
        )
    below = [] if transform is None else links_below(embedding, transform, older)
    chains = [] if transform is None else chains_over(transform, below)
    keys = join_keys or (older[0].manifest.join_keys if older else None)
    if not keys:
        raise CatalogError(
            f"{embedding} version {version} has no older version to take the join keys from. Name "
            "them (--join-key user_id)."
        )
    of = f"{embedding} version {version}"
    check_join_keys(of, keys, [published.manifest for published in known.versions])
    if version == len(known.versions):
        catalog.files.prepare()
    native = read_native_vectors(
        source,
        join_keys=keys,
        dim=transform.from_dim if transform else None,
        feature=feature,
        config=config,
        progress=stages(f"checking the vectors of version {version}"),
    )
    ahead = tuple(vectors_ahead(native))
    verdict = Verdict(gate or QualityGate(), (), ahead)
    if chains:
        natives = read_natives(older, config, stages)
        check_key_kinds(native, natives, of)
        report = alignment_report(
            native,
            chains,
            natives,
            holdout=holdout,
            previous=previous_chains(below),
            progress=stages("measuring the alignment"),
        )
        kept["alignment"] = report.to_json()
        measured = verdict.gate.measure(report, retired=known.state.retired)
        verdict = replace(measured, refusals=(*measured.refusals, *ahead))
    waived: tuple[str, ...] = ()
    if version == len(known.versions):  # what stands there already is not judged anew
        waived = waive(verdict.refusals, force, f"{of} is not published")
    change = catalog.publish(
        embedding,
        version,
        source=source,
        dim=native.dim,
        join_keys=keys,
        transform=transform,
        feature=feature,
        holdout=holdout,
        metrics=kept,
        forced=bool(waived),
        gate=verdict.to_json(waived) if chains or waived else None,
        contents=native.contents,
        note=note,
        known=known,
    )
    if change.changed:
        return change
    noted = change.published.contents
    if noted is not None:
        check_source(change.published, config, max_shrink=max_shrink, thorough=True)
        if max_shrink is None:
            return change
    return catalog.recount(embedding, version, native.contents)
