"""What version 0's consumers get, beside what else they might have: the rows of the main table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from training.comparison.degradation import (
    counted_tasks,
    intended,
    interval,
    of_consumers,
    resampled_intended,
    resampled_unintended,
    task_bounds,
    unintended,
    with_users,
)
from training.comparison.row import AUROC, FROZEN, RETRAINED
from training.versions.methods import BC_GROW, FIX_M0, KEEP_ALL, NO_BC, POST_LONG, TWIN

NATIVE_TODAY = "native v0, run today"
FROZEN_VECTORS = "frozen vectors of v0's instant"
TWIN_MAPPED = "twin: another seed's M_0, mapped"
RETRAINED_CONSUMER = "consumer retrained on v_k (NoBC)"
_CHANCE = 0.5

Cell = tuple[float, float]
"""A mean and half the width of its interval; NaN where there is none."""


@dataclass(frozen=True)
class Comparison:
    """One row.

    Attributes:
        name: a reference, or a method.
        percent: 100 (A - N) / N over the tasks that count.
        skill: 100 (A - N) / (N - .5), likewise.
        over_twin: `percent` less the twin's, paired by seed: what the newer model knows more.
        tasks: 100 (A - N) / N of every task, those below the gate too.
    """

    name: str
    percent: Cell
    skill: Cell
    over_twin: Cell
    tasks: Mapping[str, float]


def comparisons(found: pd.DataFrame, consumer: str, methods: Sequence[str]) -> list[Comparison]:
    """Native, frozen and the twin first, then the methods, the retrained consumer last.

    Args:
        found: see `training.comparison.degradation.frame`.
        consumer: the kind of consumer model; it is born with version 0.
        methods: those to be listed.
    """
    table = _with_references(found, consumer)
    counted = counted_tasks(found, consumer)
    tasks = list(task_bounds(found, consumer).index)
    named = [m for m in methods if m not in (FIX_M0.name, KEEP_ALL, TWIN.name)]
    order = {
        NATIVE_TODAY: FIX_M0.name,
        FROZEN_VECTORS: FROZEN,
        TWIN_MAPPED: TWIN.name,
        **{name: name for name in named},
        RETRAINED_CONSUMER: RETRAINED,
    }
    there = set(table["method"])
    return [
        _comparison(table, name, method, counted, tasks, consumer)
        for name, method in order.items()
        if method in there
    ]


def intended_cells(
    found: pd.DataFrame, methods: Sequence[str], reference: str = NO_BC.name
) -> dict[str, Cell]:
    """By method: `intended`, with its interval over seeds and users."""
    losses = intended(found, reference)
    return {m: with_users(losses[m], resampled_intended(found, m, reference)) for m in methods}


def of_equal_epochs(found: pd.DataFrame) -> str:
    """BC-Grow's intended metric against models from scratch of as many epochs in all.

    Empty where one of the two was not run.
    """
    if not {BC_GROW.name, POST_LONG.name} <= set(found["method"]):
        return ""
    mean, width = intended_cells(found, [BC_GROW.name], POST_LONG.name)[BC_GROW.name]
    spread = f" ± {width:.2f}" if width == width else ""
    return (
        f"{BC_GROW.name} against {POST_LONG.name}, models from scratch of as many epochs in all: "
        f"intended {mean:.2f}{spread} %."
    )


def unintended_cells(
    found: pd.DataFrame,
    tasks: Sequence[str],
    consumer: str,
    methods: Sequence[str],
    chance: float = 0.0,
) -> dict[str, Cell]:
    """By method: `unintended`, with its interval over seeds and users; empty without a task."""
    if not tasks:
        return {}
    return {m: _loss(found, tasks, consumer, m, chance) for m in methods}


def _comparison(
    table: pd.DataFrame,
    name: str,
    method: str,
    counted: Sequence[str],
    tasks: Sequence[str],
    consumer: str,
) -> Comparison:
    nothing = (float("nan"), float("nan"))
    percent = skill = over = nothing
    if counted:
        percent = _loss(table, counted, consumer, method, 0.0)
        skill = _loss(table, counted, consumer, method, _CHANCE)
        losses = unintended(table, counted, consumer)
        if TWIN.name in losses and method != TWIN.name:
            over = interval(losses[method] - losses[TWIN.name])
    by_task = {task: float(unintended(table, [task], consumer)[method].mean()) for task in tasks}
    return Comparison(name, percent, skill, over, by_task)


def _loss(
    table: pd.DataFrame, tasks: Sequence[str], consumer: str, method: str, chance: float
) -> Cell:
    per_seed = unintended(table, tasks, consumer, chance=chance)[method]
    return with_users(per_seed, resampled_unintended(table, tasks, consumer, method, chance))


def _with_references(found: pd.DataFrame, consumer: str) -> pd.DataFrame:
    """The AUROC rows, those of frozen vectors and retrained consumers as methods of their own."""
    keys = ["seed", "version", "task"]
    own = of_consumers(found, consumer)
    native = own[own["method"] == FIX_M0.name][[*keys, "native"]]
    parts = [own]
    for measure, method in ((FROZEN, FIX_M0.name), (RETRAINED, NO_BC.name)):
        some = found[(found["measure"] == measure) & (found["consumer"] == consumer)]
        some = some[some["method"] == method].drop(columns="native").merge(native, on=keys)
        if not some.empty:
            parts.append(some.assign(method=measure, measure=AUROC))
    return pd.concat(parts, ignore_index=True)
