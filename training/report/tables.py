"""The report's tables, as text cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from training.comparison.comparisons import Cell, intended_cells, unintended_cells
from training.comparison.degradation import (
    CHANCE,
    alignment,
    consumers,
    counted_tasks,
    intended,
    interval,
    of_consumers,
    task_bounds,
    unintended,
)
from training.comparison.encoder_gate import is_sound
from training.comparison.row import (
    CENTRED_HELD_OUT,
    MAP_PARAMETERS,
    PEAK_RSS,
    RECALL,
    SECONDS,
    VECTOR_BYTES,
)
from training.report.finished_run import FinishedRun
from training.report.look import emphasised, looks
from training.versions.methods import FIX_M0, KEEP_ALL

NOT_QUOTED = "not quoted"
_FLOAT = 4  # bytes


def summary_table(run: FinishedRun) -> pd.DataFrame:
    """By method: the losses, and the alignment error, with intervals over seeds and users."""
    columns: dict[str, Mapping[str, Cell]] = {"intended %": intended_cells(run.found, run.methods)}
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        for name, chance in ((f"unintended %, {consumer}", 0.0), (f"skill %, {consumer}", 0.5)):
            if counted:
                columns[name] = unintended_cells(run.found, counted, consumer, run.methods, chance)
    error = alignment(run.found, CENTRED_HELD_OUT)
    columns["centred error"] = {str(m): interval(error[m]) for m in error}
    columns["R^2"] = {str(m): interval(1 - error[m] ** 2) for m in error}
    cells = {name: {m: cell_text(*c) for m, c in some.items()} for name, some in columns.items()}
    table: pd.DataFrame = pd.DataFrame(cells).reindex(run.methods).fillna("")
    return table


def overview_table(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """By experiment and emphasised method: both losses, by the first kind of consumer models."""
    cells: dict[str, dict[str, object]] = {}
    for run in runs:
        consumer = consumers(run.found)[0]
        counted = counted_tasks(run.found, consumer)
        sound = is_sound(run.every)
        for method in emphasised(looks(run)):
            quoted = with_interval(intended(run.found)[method]) if sound else NOT_QUOTED
            old = NOT_QUOTED
            if sound and counted:
                old = with_interval(unintended(run.found, counted, consumer)[method])
            cells[f"{run.name}: {method}"] = {
                "seeds": run.seeds,
                "intended %": quoted,
                f"unintended %, {consumer}": old,
                "tasks that count": len(counted),
            }
    table: pd.DataFrame = _by_row(cells).fillna("")
    return table


def recall_table(run: FinishedRun) -> pd.DataFrame:
    """Recall@50 by method and version, mean over seeds; the baselines without an encoder first."""
    recall = run.every[run.every["measure"] == RECALL]
    mean = recall.pivot_table("value", "method", "version", sort=False)
    plain = [name for name in mean.index if name not in run.methods]
    mean = mean.loc[[*plain, *(name for name in run.methods if name != KEEP_ALL)]]
    return _by_version(mean, "{:.4f}")


def gate_table(run: FinishedRun, consumer: str) -> pd.DataFrame:
    """By task: native v0 consumer's AUROC with its interval, and whether the task counts."""
    rows = of_consumers(run.found, consumer)
    rows = rows[rows["method"] == FIX_M0.name]
    native = rows.groupby("task")["native"].mean()
    bounds = task_bounds(run.found, consumer).sort_values(ascending=False)
    cells: dict[str, dict[str, object]] = {
        task: {
            "native v0 AUROC": f"{mean:.3f}",
            "lower end of 95 %": f"{bound:.3f}",
            f"above {CHANCE}": "counts" if bound > CHANCE else "no: greyed",
        }
        for task, mean, bound in zip(bounds.index, native[bounds.index], bounds, strict=True)
    }
    return _by_row(cells)


def seconds_table(run: FinishedRun) -> pd.DataFrame:
    """Training seconds by method and version, mean over seeds; empty where none are recorded."""
    seconds = run.found[run.found["measure"] == SECONDS]
    if seconds.empty:
        return _by_row({})
    mean = seconds.pivot_table("value", "method", "version", sort=False)
    out = _by_version(mean, "{:.1f}")
    out["sum"] = mean.sum(axis=1).map("{:.1f}".format)
    return out


def storage_table(run: FinishedRun) -> pd.DataFrame:
    """At the last version: float32 vectors and maps that must be kept to serve every version."""
    newest = run.versions[-1]
    vectors = run.found[run.found["measure"] == VECTOR_BYTES]
    vectors = vectors[(vectors["version"] == newest) & (vectors["seed"] == vectors["seed"].min())]
    maps = run.found[run.found["measure"] == MAP_PARAMETERS]
    maps = maps[maps["seed"] == maps["seed"].min()]
    all_ = vectors.loc[vectors["method"] == KEEP_ALL, "value"].sum()
    cells: dict[str, dict[str, object]] = {}
    for method in run.methods:
        own = vectors[vectors["method"] == method]
        kept = own if method == KEEP_ALL else own[own["serves"] == newest]
        numbers = maps.loc[maps["method"] == method, "value"].sum()
        size = kept["value"].sum() + _FLOAT * numbers
        cells[method] = {
            "vectors, MiB": f"{kept['value'].sum() / 2**20:.2f}",
            "numbers in maps": f"{numbers:,.0f}",
            "maps, MiB": f"{_FLOAT * numbers / 2**20:.2f}",
            "of Keep-All": f"{100 * size / all_:.0f} %",
        }
    return _by_row(cells)


def peak_memory(run: FinishedRun) -> float:
    """The largest peak of a training process, in MiB; NaN where none is recorded."""
    return float(run.found.loc[run.found["measure"] == PEAK_RSS, "value"].max() / 2**20)


def settings_table(run: FinishedRun) -> pd.DataFrame:
    """The experiment as its YAML said it, one row per key."""
    cells = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in run.settings.items()
        if key != "schedule"
    }
    cells |= {f"schedule: {k}": str(v) for k, v in run.settings["schedule"].items()}
    return _by_row({key: {"value": value} for key, value in cells.items()})


def with_interval(values: pd.Series[float], digits: int = 2) -> str:
    """Mean, and half its interval over seeds where there are several."""
    return cell_text(*interval(values.dropna()), digits)


def cell_text(mean: float, width: float, digits: int = 2) -> str:
    """A mean, and half its interval where there is one."""
    if mean == 0 and not width > 0:
        return "0"
    rounded = round(mean, digits) + 0.0  # no minus before a zero
    text = f"{rounded:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return f"{text} ± {width:.{digits}f}" if width > 0 else text


def _by_row(cells: dict[str, dict[str, object]]) -> pd.DataFrame:
    table: pd.DataFrame = pd.DataFrame.from_dict(cells, orient="index")
    return table


def _by_version(table: pd.DataFrame, form: str) -> pd.DataFrame:
    table = table.map(lambda value: "" if value != value else form.format(value))
    named: pd.DataFrame = table.rename(columns=lambda version: f"v{version}")
    return named
