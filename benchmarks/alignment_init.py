"""Where should B_k start: least squares, the identity, or the paper's random values?

Usage: python -m benchmarks.alignment_init [SEEDS] [EPOCHS]

Trains versions 0, 1, 2 of the reference pipeline's encoder on every fourth user of the bundled
retail sample, once per start and seed (versions differ from v0 on; v0 is shared). Prints per hop
k -> k-1 the mean over seeds, and half the range between them:

- the multi-step alignment loss after some epochs, relative to the mean square of the targets;
- on held-out users at the end, ||B_k(z_k) - z_{k-1}|| / ||z_{k-1}|| with the map as trained, and
  after a last least-squares fit to the final vectors;
- the largest singular value of the map as trained, and Recall@50 on the window that follows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from feast_bc.alignment import BackwardMap, multi_step_loss
from feast_bc.transforms.holdout import Holdout
from training.encoders.encoder import USERS, Encoder
from training.encoders.recipe import FOLD_IN
from training.encoders.schedule import Schedule
from training.interactions.history import History, history
from training.interactions.interactions import Interactions, load
from training.interactions.slices import Slice, slice_by_count
from training.tasks.recall import first_purchases, recall
from training.versions.trainer import Target, fit

DIMS = (32, 48, 64)
STARTS = ("least squares", "identity", "random")
COLUMNS = ("as trained", "refitted", "largest s.v.", "Recall@50")
Row = dict[str, float]


def every_fourth_user(interactions: Interactions) -> Interactions:
    """Codes follow the order of first purchases, and go on doing so."""
    kept = interactions.where(interactions.user % 4 == 0)
    users = interactions.user_ids.take(np.arange(0, len(interactions.user_ids), 4))
    return replace(kept, user=kept.user // 4, user_ids=users)


@dataclass(frozen=True)
class Stage:
    """Version k of one run: its encoder, and the refitted map to version k-1."""

    encoder: Encoder
    backward: BackwardMap | None


def first_version(past: History, schedule: Schedule) -> Stage:
    encoder = FOLD_IN.fresh(past, 0, DIMS[0], schedule.seed)
    fit(encoder, past, schedule)
    return Stage(encoder, None)


def next_version(
    older: list[Stage], past: History, start: str, schedule: Schedule
) -> tuple[Stage, Row]:
    """Train version len(older) jointly with its map, and measure."""
    previous = older[-1].encoder
    # Seeds step by 10 between runs; a seed of its own, or the map would repeat the encoder's draws.
    drawn = torch.Generator().manual_seed(schedule.seed + 5)
    encoder = FOLD_IN.fresh(past, len(older), DIMS[len(older)], schedule.seed)
    unseen = torch.from_numpy(Holdout().contains(past.user_ids.to_pylist()))
    target = Target(
        previous.users(past),
        previous.knows_users(past) & ~unseen,
        BackwardMap(encoder.dim, previous.dim, generator=drawn),
        [stage.backward.weight for stage in older[::-1] if stage.backward],
    )
    if start == "least squares":
        target.backward.fit_least_squares(encoder.users(past), target.previous, target.present)
    elif start == "identity":
        target.backward.set_identity()
    row: Row = {}
    look = watch(encoder, past, target, schedule.epochs, row)
    look(0)
    fit(encoder, past, schedule, targets={USERS: target}, after_epoch=look)

    vectors, judged = encoder.users(past), unseen & previous.knows_users(past)
    native = target.previous[judged]

    @torch.no_grad()
    def error() -> float:
        return float((target.backward(vectors[judged]) - native).norm() / native.norm())

    row["as trained"] = error()
    row["largest s.v."] = float(target.backward.singular_values()[0])
    target.backward.fit_least_squares(vectors, target.previous, target.present)
    row["refitted"] = error()
    return Stage(encoder, target.backward), row


def watch(
    encoder: Encoder, past: History, target: Target, epochs: int, row: Row
) -> Callable[[int], None]:
    scale = float(target.previous[target.present].square().mean())

    @torch.no_grad()
    def look(epoch: int) -> None:
        if epoch in (0, 1, 3, epochs):
            mapped = target.backward(encoder.users(past))
            loss = multi_step_loss(mapped, target.previous, target.older, target.present)
            row[f"epoch {epoch}"] = float(loss) / scale

    return look


def intended(stage: Stage, past: History, interactions: Interactions, window: Slice) -> float:
    truth = first_purchases(interactions.between(window.end, window.test_end), past)
    users, items = stage.encoder.users(past).numpy(), stage.encoder.items(past).numpy()
    return recall(users, items, truth, past.bought)


def main(seeds: int = 3, epochs: int = 10) -> None:
    began = time.monotonic()
    torch.set_num_threads(1)  # small matrices
    interactions = every_fourth_user(load())
    slices = slice_by_count(interactions.purchases().timestamp)
    pasts = [history(interactions, window.end) for window in slices]
    rows: dict[tuple[int, str], list[Row]] = {}
    for seed in range(seeds):
        schedule = Schedule(epochs=epochs, batch=128, seed=10 * seed)
        first = first_version(pasts[0], schedule)
        for start in STARTS:
            stages = [first]
            for k in range(1, len(DIMS)):
                own = replace(schedule, seed=schedule.seed + k)
                stage, row = next_version(stages, pasts[k], start, own)
                row["Recall@50"] = intended(stage, pasts[k], interactions, slices[k])
                stages.append(stage)
                rows.setdefault((k, start), []).append(row)
    columns = [f"epoch {epoch}" for epoch in sorted({0, 1, 3, epochs})] + list(COLUMNS)
    users, items = pasts[-1].bought.shape
    print(f"{users:,} users, {items:,} items, dimensions {DIMS}, {epochs} epochs, {seeds} seed(s)")
    print(f"{'hop':7}{'start':15}" + "".join(f"{name:>15}" for name in columns))
    for (k, start), found in sorted(rows.items(), key=lambda entry: entry[0][0]):
        cells = []
        for name in columns:
            values = [row[name] for row in found]
            half = (max(values) - min(values)) / 2
            cells.append(f"{np.mean(values):.4f}±{half:.4f}".rjust(15))
        print(f"{k} -> {k - 1} {start:15}" + "".join(cells))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
