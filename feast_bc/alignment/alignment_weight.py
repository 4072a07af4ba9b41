"""lambda, the weight of the alignment loss, over the steps of a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AlignmentWeight:
    """Constant, or rising linearly from 0 at step 0 to `final` at step `warmup`.

    Attributes:
        final: lambda (the paper: 16).
        warmup: steps until it is reached; 0 for a constant weight (the paper's).
    """

    final: float = 16.0
    warmup: int = 0

    def __post_init__(self) -> None:
        if self.final < 0 or self.warmup < 0:
            raise ValueError(
                f"AlignmentWeight: final and warmup must be at least 0, got {self.final} and "
                f"{self.warmup}."
            )

    def __call__(self, step: int) -> float:
        """lambda at a step, counted from 0 (steps, epochs: whatever `warmup` counts)."""
        return self.final * min(step / self.warmup, 1.0) if self.warmup else self.final
