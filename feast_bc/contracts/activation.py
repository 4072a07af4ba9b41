"""Activating a version, if the quality gate and the contracts of its consumers let it pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from feast.repo_config import RepoConfig

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.published_version import pick
from feast_bc.catalog.signature import check_chain_signed
from feast_bc.catalog.state import State
from feast_bc.contracts.judgement import Judgement
from feast_bc.contracts.runs import run_contracts
from feast_bc.contracts.waivers import check_waivers
from feast_bc.publishing.alignment import AlignmentReport, stored_report
from feast_bc.publishing.measurement import Stages, silent
from feast_bc.publishing.quality_gate import QualityGate
from feast_bc.publishing.refusal import Refusal, waive
from feast_bc.rule import Activation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def activate_version(
    catalog: EmbeddingCatalog,
    embedding: str,
    version: int,
    active_from: datetime | None = None,
    *,
    gate: QualityGate | None = None,
    force: Collection[str] = (),
    signed_by: Sequence[Ed25519PublicKey] = (),
    config: RepoConfig | None = None,
    stages: Stages = silent,
    judged: Callable[[Sequence[Judgement]], None] | None = None,
) -> CatalogChange:
    """Activate a version if it passes the gate; the checks in `force` are waived.

    What the gate measured, what became of the contracts on older versions, and which checks were
    waived, is kept in the activation event. A version that is active already, as
    `EmbeddingCatalog.activate` understands it, is not measured again.

    Args:
        catalog, embedding, version, active_from: as on `EmbeddingCatalog.activate`.
        gate: the thresholds; `QualityGate()` by default.
        force: the checks to waive: of `feast_bc.publishing.refusal.CHECKS`, or "contract:" and
            the name of a consumer.
        signed_by: the keys of whom one has to have signed each version of the chain; empty asks
            for no signature.

    Raises:
        SignatureError: a version of the chain is not signed; nothing was changed.
        QualityGateError: the gate does not pass; a contract does not hold, or cannot be run; the
            version would be active before its first
            vector; or from an instant before the end of an earlier activation, in a time that was
            settled. Nothing was changed.
        UnknownVersionError, CatalogError: as `EmbeddingCatalog.activate`.
    """
    shelf = catalog.shelf(embedding)
    published = shelf.versions
    candidate = pick(published, version)
    if signed_by:
        check_chain_signed(shelf, catalog.files, version, signed_by)
    so_far = State(activations={version: candidate.activations})
    if so_far.is_activated(version, active_from):
        return CatalogChange(candidate, changed=False)
    retired = {older.version for older in published if older.retired}
    if version == 0:
        return catalog.activate(embedding, version, active_from)  # refused there
    check_waivers(shelf, version, force)
    report = stored_report(candidate)
    verdict = (gate or QualityGate()).measure(report, retired)
    at = active_from or datetime.now(timezone.utc)
    timing = [*_before_vectors(report, at), *_in_closed_period(candidate.activations, at)]
    judgements = run_contracts(shelf, catalog.files, version, config=config, stages=stages)
    if judged is not None:
        judged(judgements)
    broken = [refusal for each in judgements for refusal in each.refusals]
    waived = waive(
        (*verdict.refusals, *timing, *broken),
        force,
        f"{embedding} version {version} is not activated",
    )
    return catalog.activate(
        embedding,
        version,
        active_from,
        forced=bool(waived),
        gate={**verdict.to_json(waived), "contracts": [each.to_json() for each in judgements]},
        known=shelf,
    )


def _before_vectors(report: AlignmentReport | None, at: datetime) -> Iterable[Refusal]:
    """Until its first vector a version gives no value, whatever its activation says."""
    if report is not None and report.first is not None and at < report.first:
        first = report.first.isoformat()
        yield Refusal(
            "before-vectors",
            f"it would be active from {at.isoformat()}, before its first vector, of {first}",
            f"Older versions serve until then: activate it from {first} on, or later.",
        )


def _in_closed_period(activations: Sequence[Activation], at: datetime) -> Iterable[Refusal]:
    """What was served up to the end of an activation is in training sets."""
    ends = [
        a.active_until for a in activations if a.active_until and a.active_until > a.active_from
    ]
    if ends and at < max(ends):
        until = max(ends).isoformat()
        yield Refusal(
            "closed-period",
            f"it was active before, until {until}, and would be active again from "
            f"{at.isoformat()}, which changes values that training sets have used",
            f"Activate it from {until} on, or later.",
        )
