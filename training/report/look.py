"""How methods look in every picture: few in colour, the others grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.comparison.degradation import consumers, counted_tasks, intended, unintended
from training.report.finished_run import FinishedRun
from training.versions.methods import FIX_M0, KEEP_ALL, NO_BC

BC_ALIGNER = "BC-Aligner"
PAPER = (
    KEEP_ALL,
    FIX_M0.name,
    "Finetune-M0",
    NO_BC.name,
    "Post-Lin-SLoss",
    "Post-Lin-MLoss",
    "Joint-NoTrans",
    "Joint-Lin-SLoss",
    BC_ALIGNER,
)
# Okabe and Ito's palette: told apart with any colour vision, and by marker without colour.
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8F98"
INK, PALE = "#22262B", "#D7DBE0"
_MARKERS = ("s", "^", "v", "P", "X", "*", "<", ">", "h", "p")


@dataclass(frozen=True)
class Look:
    """How one method is drawn."""

    color: str
    marker: str
    emphasised: bool

    @property
    def width(self) -> float:
        """The width of its line."""
        return 2.4 if self.emphasised else 1.0


def best_own(run: FinishedRun) -> str | None:
    """Of the methods that are not the paper's, the one with the best mean total."""
    own = [name for name in run.methods if name not in PAPER]
    if not own:
        return None
    consumer = consumers(run.found)[0]
    counted = counted_tasks(run.found, consumer)
    loss = intended(run.found)[own]
    if counted:
        loss = loss + unintended(run.found, counted, consumer)[own]
    return str(loss.mean().idxmax())


def looks(run: FinishedRun) -> dict[str, Look]:
    """By method: BC-Aligner, the best of our own, and NoBC stand out."""
    own = best_own(run)
    strong = {} if own is None else {own: Look(GREEN, "s", True)}
    strong |= {BC_ALIGNER: Look(BLUE, "o", True), NO_BC.name: Look(VERMILION, "D", True)}
    others = [name for name in run.methods if name not in strong]
    weak = {name: Look(GREY, _MARKERS[i % len(_MARKERS)], False) for i, name in enumerate(others)}
    found = {name: look for name, look in strong.items() if name in run.methods}
    return {**found, **weak}


def emphasised(shown: dict[str, Look]) -> Sequence[str]:
    """The methods that stand out."""
    return [name for name, look in shown.items() if look.emphasised]
