"""The page's main table per kind of consumer, and who serves whom."""

from __future__ import annotations

from typing import Any

import pandas as pd

from training.comparison.comparisons import comparisons
from training.comparison.compatibility import (
    asymmetric_retrieval,
    compatibility_matrix,
    compatible_shares,
    drift_by_age,
)
from training.comparison.degradation import consumers, counted_tasks, task_bounds
from training.comparison.ranking import rank_correlations
from training.report.finished_run import FinishedRun
from training.report.look import emphasised, looks
from training.report.tables import cell_text

_UNKNOWN = ""


def compared(run: FinishedRun, consumer: str) -> dict[str, Any]:
    """The main table: `tasks` (name, whether it counts) and `rows` (name, three cells, tasks)."""
    counted = counted_tasks(run.found, consumer)
    names = list(task_bounds(run.found, consumer).sort_values(ascending=False).index)
    tasks = [{"name": name, "counts": name in counted} for name in names]
    rows = [
        {
            "name": row.name,
            "cells": [_text(*one) for one in (row.percent, row.skill, row.over_twin)],
            "tasks": [
                {"text": _text(row.tasks[name], float("nan")), "counts": name in counted}
                for name in names
            ],
        }
        for row in comparisons(run.found, consumer, run.methods)
    ]
    return {"consumer": consumer, "tasks": tasks, "rows": rows}


def matrices(run: FinishedRun) -> list[tuple[str, pd.DataFrame]]:
    """By title: the compatibility matrix of each task, of the methods that stand out."""
    consumer = consumers(run.found)[0]
    tasks = task_bounds(run.found, consumer).sort_values(ascending=False).index
    found = []
    for task in tasks:
        for method in emphasised(looks(run)):
            table = compatibility_matrix(run.found, method, task, consumer)
            found.append((f"{task}, {method}, {consumer} consumers", table))
    return found


def shares_table(run: FinishedRun) -> pd.DataFrame:
    """By method: AC and its non-inferiority form, by kind of consumers."""
    columns: dict[str, dict[str, str]] = {}
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        if not counted:
            continue
        shares = {m: compatible_shares(run.found, m, counted, consumer) for m in run.methods}
        columns[f"AC, {consumer}"] = {m: _share(one[0]) for m, one in shares.items()}
        columns[f"within 1 %, {consumer}"] = {m: _share(one[1]) for m, one in shares.items()}
    table: pd.DataFrame = pd.DataFrame(columns).reindex(run.methods).fillna(_UNKNOWN)
    return table


def age_table(run: FinishedRun) -> pd.DataFrame:
    """The centred error on held-out entities by the number of updates in between."""
    return _formed(drift_by_age(run.found), "{:.3f}", lambda age: f"{age} update(s)")


def asymmetric_table(run: FinishedRun) -> pd.DataFrame:
    """Recall@50 of users served as version 0 against native version-0 items."""
    return _formed(asymmetric_retrieval(run.found), "{:.4f}", lambda k: f"v{k}")


def ranking_table(run: FinishedRun) -> pd.DataFrame:
    """By kind of consumers: how well each measure ranks the learned maps as they do."""
    cells = {}
    for consumer in consumers(run.found):
        counted = counted_tasks(run.found, consumer)
        if counted:
            values = rank_correlations(run.found, consumer, counted, learned=True)
            cells[consumer] = {name: _number(value) for name, value in values.items()}
    table: pd.DataFrame = pd.DataFrame.from_dict(cells, orient="index")
    return table


def _formed(table: pd.DataFrame, form: str, name: Any) -> pd.DataFrame:
    texts = table.map(lambda value: _UNKNOWN if value != value else form.format(value))
    named: pd.DataFrame = texts.rename(columns=name)
    return named


def _text(mean: float, width: float) -> str:
    return _UNKNOWN if mean != mean else cell_text(mean, width)


def _share(value: float) -> str:
    return _UNKNOWN if value != value else f"{value:.2f}"


def _number(value: float) -> str:
    return _UNKNOWN if value != value else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
