"""The gate before `publish`, `relink` and `activate`: how well a version reproduces older ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from feast_bc.publishing.alignment import (
    NOTHING_SHARED,
    AlignmentReport,
    VersionAlignment,
)
from feast_bc.publishing.refusal import Check, Refusal

if TYPE_CHECKING:
    pass

MAX_CENTRED_ERROR = 0.5
"""Three quarters of the variance explained. Held-out entities of the demo's data: maps trained with
their model have .09 to .25, maps fitted afterwards .29 to .41, no map (NoBC) 1.9 to 2.9."""

MIN_AGREEMENT = 0.15
"""Only what is worse than any learned map fails: on three sets (one seed, users and items) no map
(NoBC) kept at most .13 and learned maps at least .21. A stricter limit is for teams that know their
consumers: on the set with .21 to .73 their AUROC changed by -2.4 to +4.1 %."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a version.

    Attributes:
        gate: the thresholds.
        measured: JSON per older version that counts.
        refusals: why it does not pass; empty if it does.
    """

    gate: QualityGate
    measured: tuple[dict[str, Any], ...]
    refusals: tuple[Refusal, ...]

    @property
    def passed(self) -> bool:
        return not self.refusals

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not pass."""
        return tuple(refusal.reason for refusal in self.refusals)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about it."""
        return tuple(dict.fromkeys(refusal.advice for refusal in self.refusals))

    def to_json(self, waived: Sequence[str] = ()) -> dict[str, Any]:
        """Plain JSON, as the catalog's events keep it; with the checks that were waived."""
        return {
            "max_centred_error": self.gate.max_centred_error,
            "min_cosine": self.gate.min_cosine,
            "min_agreement": self.gate.min_agreement,
            "measured": list(self.measured),
            "reasons": list(self.reasons),
            "passed": self.passed,
            "waived": list(waived),
        }


@dataclass(frozen=True)
class QualityGate:
    """Thresholds for the chain to every older version whose view is still offered.

    They apply to the held-out entities where the artifact declares any, else to all entities
    that two versions share. An alignment that could not be measured does not pass.

    Attributes:
        max_centred_error: ||z~ - z||_F / ||z - mean(z)||_F may be this at most; the mean vector
            alone has 1.
        min_cosine: the mean cosine must be this at least; None for no such threshold.
        min_agreement: every kind of small consumer model must keep this share of its skill at
            least (`ProbeReport.agreement`); None for no such threshold. Where the probes were not
            run, because too few entities are shared or by an older release, it is not asked.
    """

    max_centred_error: float = MAX_CENTRED_ERROR
    min_cosine: float | None = None
    min_agreement: float | None = MIN_AGREEMENT

    def measure(self, report: AlignmentReport | None, retired: Iterable[int] = ()) -> Verdict:
        """Hold a version's alignment against the thresholds.

        Args:
            report: the alignment; None where it was not measured.
            retired: older versions that do not count.
        """
        if report is None:
            unmeasured = Refusal(
                "unmeasured",
                "its manifest has no alignment report",
                "Publish versions with `feast-bc publish`, which measures them.",
            )
            return Verdict(self, (), (unmeasured,))
        measured: list[dict[str, Any]] = []
        refusals: list[Refusal] = []
        newer_passed = True
        for entry in report.older:
            wrong = self._reasons(report.version, entry)
            if entry.version not in retired:
                on, alignment = entry.decisive
                probes = None if entry.probes is None else asdict(entry.probes)
                measured.append(
                    {"version": entry.version, "on": on, **asdict(alignment), "probes": probes}
                )
                advice = _advice(report.version, entry, newer_passed)
                refusals += [Refusal(check, reason, advice) for check, reason in wrong]
            newer_passed = newer_passed and not wrong
        return Verdict(self, tuple(measured), tuple(refusals))

    def _reasons(self, version: int, entry: VersionAlignment) -> list[tuple[Check, str]]:
        """Why an alignment does not pass, by check."""
        on, alignment = entry.decisive
        chain = f"{version} -> {entry.version}"
        if alignment.centred_error is None or alignment.cosine is None:
            note = (entry.note or "unknown").rstrip(".")
            return [("unmeasured", f"the alignment of {chain} is {note}")]
        reasons: list[tuple[Check, str]] = []
        where = f"{chain} on {alignment.entities} {on.replace('_', '-')} entities"
        if alignment.centred_error > self.max_centred_error:
            reason = (
                f"centred error {alignment.centred_error:.4f} of {where}, expected at most "
                f"{self.max_centred_error:g} (the mean vector alone has 1)"
            )
            reasons.append(("centred-error", reason))
        if self.min_cosine is not None and alignment.cosine < self.min_cosine:
            reason = (
                f"cosine {alignment.cosine:.4f} of {where}, expected at least {self.min_cosine:g}"
            )
            reasons.append(("cosine", reason))
        for kind, kept in (entry.probes.by_kind if entry.probes else {}).items():
            if self.min_agreement is not None and kept < self.min_agreement:
                reason = (
                    f"small {kind} consumers keep {kept:.4f} of their skill with {where}, expected "
                    f"at least {self.min_agreement:g}"
                )
                reasons.append(("agreement", reason))
        return reasons


def _advice(version: int, entry: VersionAlignment, newer_passed: bool) -> str:
    """What to do about an alignment that does not pass.

    Args:
        version: k.
        entry: the alignment of k -> j.
        newer_passed: whether those of k -> k-1, ..., k -> j+1 pass.
    """
    j = entry.version
    if entry.note == NOTHING_SHARED:
        return (
            f"Run the model of version {j} once more on entities that version {version} has, and "
            "add the rows to its source: entities that both have are what can be compared."
        )
    if entry.decisive[1].centred_error is None:
        return (
            f"Make the vectors of version {j} readable, and different for different entities; or "
            f"retire version {j} if nobody reads its view."
        )
    if j == version - 1:
        return (
            f"Does the artifact belong to these vectors, and lead from {version} to {j}? If it "
            "does, train a better transformation."
        )
    if newer_passed:
        return (
            f"The fault seems to be in an older link: correct the transformation {j + 1} -> {j} "
            f"with `feast-bc relink`."
        )
    return f"What is wrong with the chain to version {j + 1} goes on to version {j}."
