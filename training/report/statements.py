"""What the numbers of a run say, and what they do not, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from training.comparison.comparisons import of_equal_epochs
from training.comparison.degradation import (
    CHANCE,
    consumers,
    counted_tasks,
    intended,
    interval,
    task_bounds,
    unintended,
)
from training.comparison.encoder_gate import is_sound, verdict_of
from training.comparison.row import CENTRED_HELD_OUT
from training.report.finished_run import FinishedRun
from training.report.look import BC_ALIGNER, best_own
from training.report.series import measure_by_version
from training.report.tables import with_interval
from training.versions.methods import NO_BC

_FEW = 5  # seeds; fewer leave intervals too wide to rank methods


def verdict(run: FinishedRun) -> str:
    """Whether the experiment may be quoted at all."""
    return verdict_of(run.every)


def says(run: FinishedRun) -> Iterable[str]:
    """What the numbers say; nothing about losses where the encoder fails."""
    if not is_sound(run.every):
        return
    loss = intended(run.found)
    own = best_own(run)
    compared = [n for n in (NO_BC.name, BC_ALIGNER, own) if n is not None and n in loss]
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        if not counted:
            yield f"{consumer} consumers: no task passes the gate; no unintended loss is quoted."
            continue
        old = unintended(run.found, counted, consumer)
        for name in compared:
            yield (
                f"{name}, {consumer} consumers of v0: intended {with_interval(loss[name])} %, "
                f"unintended {with_interval(old[name])} %."
            )
        if own is not None and BC_ALIGNER in loss:
            yield _difference(own, (loss + old)[own] - (loss + old)[BC_ALIGNER], consumer)
    if equal := of_equal_epochs(run.found):
        yield equal
    error = measure_by_version(run.found, CENTRED_HELD_OUT, 0)
    for name in compared[1:]:
        versions, mean = error[name].versions, error[name].mean
        yield (
            f"Alignment error of {name} towards v0: {mean[0]:.3f} at v{versions[0]}, "
            f"{mean[-1]:.3f} at v{versions[-1]}."
        )


def _difference(own: str, paired: pd.Series[float], consumer: str) -> str:
    mean, width = interval(paired)
    begin = (
        f"{own} minus {BC_ALIGNER}, total, {consumer} consumers, paired by seed: "
        f"{with_interval(paired)} points"
    )
    if width != width:
        return f"{begin}; one seed: chance cannot be told from a difference."
    if abs(mean) <= width:
        return f"{begin}; the interval holds 0: these seeds do not tell the two apart."
    return f"{begin}; the interval does not hold 0."


def limits_of(run: FinishedRun) -> Iterable[str]:
    """What the numbers do not say."""
    if run.seeds == 1:
        yield "One seed: there are no intervals over seeds, and no two methods can be told apart."
    elif run.seeds < _FEW:
        yield (
            f"{run.seeds} seeds: intervals (Student's t) are wide; {_FEW} or more are wanted "
            "before methods are ranked."
        )
    else:
        yield f"{run.seeds} seeds; intervals are Student's t over seeds, 95 %."
    yield (
        "Intervals over seeds hold the data and its windows fixed: they say what another training "
        "run would give, not another shop."
    )
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        tasks = list(task_bounds(run.found, consumer).index)
        apart = [task for task in tasks if task not in counted]
        if apart:
            yield (
                f"{consumer} consumers: {len(apart)} of {len(tasks)} tasks do not pass the gate "
                f"(native v0 AUROC's 95 % interval above {CHANCE}) and are in no average: "
                f"{', '.join(apart)}."
            )
    yield (
        "An unintended number above 0 means that the newer model, served as version 0, knows more "
        "than version 0 run on the same history; it is no proof of better alignment."
    )
    if best_own(run) is not None:
        yield (
            f"{best_own(run)} is the one of our own methods that these same numbers favour: picked "
            "after the fact, its lead is flattered."
        )
