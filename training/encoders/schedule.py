"""How an encoder is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How an encoder is fitted.

    Attributes:
        epochs: passes over the users (`fold_in`), or over as many pairs as there are.
        batch: per step: users (`fold_in`) or positive pairs (the others).
        learning_rate, weight_decay: of Adam.
        masked: the share of the purchases hidden from the encoder, which must predict them; 0:
            it predicts what it sees, as in the paper (not for `fold_in`).
        alignment: lambda, the weight of the alignment loss (the paper: 16).
        candidates: `fold_in`: items drawn per step for the softmax's normaliser; None: all.
        seed: of the initial tables, the order of users, the masks and the draws.
        device: where the fit runs; the fitted encoder is on the CPU again.
        bf16: dense layers multiply in bfloat16 (autocast). Parameters, sparse products, scores and
            losses stay float32, and so do encoders without such layers: all but `graphsage`.
    """

    epochs: int = 30
    batch: int = 512
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    masked: float = 0.5
    alignment: float = 16.0
    candidates: int | None = None
    seed: int = 0
    device: str = "cpu"
    bf16: bool = False
