"""Correcting a published version's transformation: measure the new one, put it in its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from feast.repo_config import RepoConfig

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.published_version import pick
from feast_bc.catalog.shelf import Shelf
from feast_bc.contracts.judgement import Judgement
from feast_bc.contracts.runs import Correction, run_contracts
from feast_bc.contracts.waivers import check_waivers
from feast_bc.errors import DirectionError
from feast_bc.native.native_vectors import NativeVectors
from feast_bc.publishing.alignment import Alignment, AlignmentReport, VersionAlignment
from feast_bc.publishing.alignment_report import alignment_report
from feast_bc.publishing.measurement import (
    Natives,
    Stages,
    chains_over,
    load_link,
    previous_chains,
    read_natives,
    silent,
)
from feast_bc.publishing.quality_gate import QualityGate
from feast_bc.publishing.refusal import waive
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.artifact import digest, dumps
from feast_bc.transforms.holdout import Holdout
from feast_bc.transforms.hop import check_hop


def relink_version(
    catalog: EmbeddingCatalog,
    embedding: str,
    version: int,
    *,
    artifact: str | Path,
    config: RepoConfig | None = None,
    gate: QualityGate | None = None,
    force: Collection[str] = (),
    stages: Stages = silent,
    judged: Callable[[Sequence[Judgement]], None] | None = None,
) -> CatalogChange:
    """Measure a corrected B_k, and let it take the place of the one that counts.

    The chains of the newer versions lead through it: their alignment is measured anew too, and the
    gate before `activate` looks at that. Whether version k is corrected depends on its own chains.
    Where one of these versions serves older views, now or from some instant on, consumers get other
    values: their contracts are run as for an activation.

    Args:
        catalog, embedding, version: k >= 1.
        artifact: the folder that `save_artifact` wrote for the corrected B_k.
        config: the feature repo's configuration, for sources that are not parquet files.
        gate: the thresholds; `QualityGate()` by default.
        force: the checks of the gate to waive, or "contract:" and the name of a consumer; those
            that did not pass are kept in the event.
        stages: tells progress.
        judged: told what became of the contracts, before anything is refused for them.

    Raises:
        QualityGateError: the gate does not pass, or a contract does not hold; nothing was changed.
        ArtifactError: as `load_artifact`.
        UnknownVersionError, DirectionError, DimensionError, VersionConflictError: as
            `EmbeddingCatalog.relink`.
    """
    known = catalog.shelf(embedding)
    published = pick(known.versions, version)
    transform, holdout, _ = load_link(embedding, version, artifact)
    if version == 0:
        raise DirectionError(f"{embedding} version 0 is the oldest: it takes no transformation.")
    below = known.versions[version - 1].manifest.dim
    of = f"{embedding} version {version}"
    check_hop(transform, of=of, version=version, dim=published.manifest.dim, below=below)
    if published.transform and published.transform.sha256 == digest(dumps(transform)):
        return CatalogChange(published, changed=False)
    check_waivers(known, version, force)
    natives = read_natives(known.versions, config, stages)
    reports = [
        _measure(known, newer, transform, holdout, natives, stages)
        for newer in range(version, len(known.versions))
    ]
    verdict = (gate or QualityGate()).measure(reports[0], retired=known.state.retired)
    judgements = [
        judgement
        for newer in range(version, len(known.versions))
        if known.state.open_activation(newer) is not None
        for judgement in run_contracts(
            known,
            catalog.files,
            newer,
            config=config,
            stages=stages,
            correction=Correction(transform, holdout, natives),
        )
    ]
    if judged is not None:
        judged(judgements)
    broken = [refusal for each in judgements for refusal in each.refusals]
    waived = waive((*verdict.refusals, *broken), force, f"{of} keeps its transformation")
    return catalog.relink(
        embedding,
        version,
        transform,
        forced=bool(waived),
        gate={**verdict.to_json(waived), "contracts": [each.to_json() for each in judgements]},
        alignments=[report.to_json() for report in reports],
        known=known,
    )


def _measure(
    known: Shelf,
    version: int,
    corrected: BackwardTransform,
    holdout: Holdout | None,
    natives: Natives,
    stages: Stages,
) -> AlignmentReport:
    """The alignment of a version whose chain leads through the corrected transformation."""
    native = natives[version]
    if not isinstance(native, NativeVectors):
        unknown = [
            VersionAlignment(older, 0, Alignment(0), note=f"unknown: {native}")
            for older in reversed(range(version))
        ]
        return AlignmentReport(version, 0, tuple(unknown))
    links = [
        corrected if each.version == corrected.from_version else each.transform.load()
        for each in known.versions[1 : version + 1]
        if each.transform is not None
    ]
    if version != corrected.from_version:
        holdout = known.versions[version].manifest.holdout
    return alignment_report(
        native,
        chains_over(links[-1], links[:-1]),
        natives,
        holdout=holdout,
        previous=previous_chains(links[:-1]),
        progress=stages(f"measuring the alignment of version {version}"),
    )
