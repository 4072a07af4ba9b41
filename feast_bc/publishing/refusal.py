"""What the checks before publish, relink and activate refuse, and which of it is waived."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from feast_bc.errors import QualityGateError

Check = Literal[
    "centred-error",
    "cosine",
    "agreement",
    "unmeasured",
    "future-vectors",
    "before-vectors",
    "closed-period",
]

CHECKS: tuple[Check, ...] = get_args(Check)

GATE_CHECKS: tuple[Check, ...] = ("centred-error", "cosine", "agreement", "unmeasured")
"""Of the quality gate: asked at publish, relink and activate. At publish "future-vectors" is asked
too, at activate the last two."""


@dataclass(frozen=True)
class Refusal:
    """Something that does not pass.

    Attributes:
        check: which check refuses, of `CHECKS` or `feast_bc.contracts`; by this name it is waived.
        reason: what was expected, and what was found.
        advice: what to do about it.
    """

    check: str
    reason: str
    advice: str


def waive(refusals: Sequence[Refusal], force: Collection[str], what: str) -> tuple[str, ...]:
    """The checks that refuse and are waived.

    Args:
        refusals: what does not pass.
        force: the checks to waive.
        what: what does not happen because of the others, for the error message.

    Raises:
        QualityGateError: a check refuses that is not to be waived.
    """
    left = [refusal for refusal in refusals if refusal.check not in force]
    if left:
        names = dict.fromkeys(refusal.check for refusal in left)
        reasons = "; ".join(refusal.reason for refusal in left)
        advice = " ".join(dict.fromkeys(refusal.advice for refusal in left))
        raise QualityGateError(
            f"{what}: the quality gate does not pass: {reasons}. {advice} Or waive it by name, "
            f"{' '.join(f'--force {name}' for name in names)}, which is recorded; consumers of the "
            "older versions would notice."
        )
    return tuple(dict.fromkeys(refusal.check for refusal in refusals))
