"""The gate before `activate`: how well a version must reproduce the older ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event_log import State
from feast_bc.catalog.published_version import PublishedVersion, pick
from feast_bc.errors import QualityGateError
from feast_bc.publishing.alignment import stored_report

MAX_CENTRED_ERROR = 0.5
"""Three quarters of the variance explained. Held-out entities of the demo's data: maps trained with
their model have .09 to .25, maps fitted afterwards .29 to .41, no map (NoBC) 1.9 to 2.9."""


@dataclass(frozen=True)
class QualityGate:
    """Thresholds for the chain to every older version whose view is still offered.

    They apply to the held-out entities where the artifact declares any, else to all entities
    that two versions share. An alignment that could not be measured does not pass.

    Attributes:
        max_centred_error: ||z~ - z||_F / ||z - mean(z)||_F may be this at most; the mean vector
            alone has 1.
        min_cosine: the mean cosine must be this at least; None for no such threshold.
    """

    max_centred_error: float = MAX_CENTRED_ERROR
    min_cosine: float | None = None

    def measure(self, candidate: PublishedVersion, retired: Iterable[int] = ()) -> dict[str, Any]:
        """Hold the alignment in a version's manifest against the thresholds.

        Args:
            candidate: the version to be activated.
            retired: older versions that do not count.

        Returns:
            JSON with the thresholds, what was measured per older version, the reasons why the
            gate does not pass, and whether it passes. It is kept in the activation event.
        """
        report = stored_report(candidate.manifest)
        measured, reasons = [], []
        if report is None:
            reasons.append(
                "its manifest has no alignment report; publish it with `feast-bc publish`"
            )
        for entry in report.older if report else ():
            if entry.version in retired:
                continue
            on, alignment = entry.decisive
            chain = f"{candidate.version} -> {entry.version}"
            if alignment.centred_error is None or alignment.cosine is None:
                reasons.append(f"the alignment of {chain} is {entry.note or 'unknown'}")
            else:
                where = f"{chain} on {alignment.entities} {on.replace('_', '-')} entities"
                if alignment.centred_error > self.max_centred_error:
                    reasons.append(
                        f"centred error {alignment.centred_error:.4f} of {where}, expected at "
                        f"most {self.max_centred_error:g} (the mean vector alone has 1)"
                    )
                if self.min_cosine is not None and alignment.cosine < self.min_cosine:
                    reasons.append(
                        f"cosine {alignment.cosine:.4f} of {where}, expected at least "
                        f"{self.min_cosine:g}"
                    )
            measured.append({"version": entry.version, "on": on, **asdict(alignment)})
        return {
            "max_centred_error": self.max_centred_error,
            "min_cosine": self.min_cosine,
            "measured": measured,
            "reasons": reasons,
            "passed": not reasons,
        }


def activate_version(
    catalog: EmbeddingCatalog,
    embedding: str,
    version: int,
    active_from: datetime | None = None,
    *,
    gate: QualityGate | None = None,
    force: bool = False,
) -> CatalogChange:
    """Activate a version if it passes the gate; with `force` also if it does not.

    What the gate measured, and whether it was overridden, is kept in the activation event. A
    version that is active already, as `EmbeddingCatalog.activate` understands it, is not measured
    again.

    Args:
        catalog, embedding, version, active_from: as on `EmbeddingCatalog.activate`.
        gate: the thresholds; `QualityGate()` by default.
        force: activate in any case.

    Raises:
        QualityGateError: the gate does not pass; nothing was changed.
        UnknownVersionError, CatalogError: as `EmbeddingCatalog.activate`.
    """
    published = catalog.published(embedding)
    candidate = pick(published, version)
    if State({version: candidate.activations}).is_activated(version, active_from):
        return CatalogChange(candidate, changed=False)
    retired = {older.version for older in published if older.retired}
    verdict = (gate or QualityGate()).measure(candidate, retired)
    forced = force and not verdict["passed"]
    if version and not verdict["passed"] and not force:
        raise QualityGateError(
            f"{embedding} version {version} does not pass the quality gate: "
            f"{'; '.join(verdict['reasons'])}. Train a better transformation, or override with "
            "--force; consumers of the older versions would notice."
        )
    return catalog.activate(embedding, version, active_from, forced=forced, gate=verdict)
