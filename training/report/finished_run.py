"""What a finished run of an experiment left in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from training.comparison.row import Row
from training.comparison.run import SETTINGS
from training.tasks.recall import BASELINES
from training.versions.methods import NO_BC

RESULTS = "results.parquet"


@dataclass(frozen=True)
class FinishedRun:
    """One experiment's results.

    Attributes:
        name: of the experiment.
        found: the methods' rows, `Keep-All` among them; see `frame` of
            `training.comparison.degradation`.
        every: the same and the baselines' rows.
        settings: the experiment, as JSON values.
    """

    name: str
    found: pd.DataFrame
    every: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def seeds(self) -> int:
        return int(self.found["seed"].nunique())

    @property
    def versions(self) -> list[int]:
        return sorted(int(v) for v in self.found["version"].unique())

    @property
    def methods(self) -> list[str]:
        return list(self.found["method"].unique())


def read_run(folder: Path) -> FinishedRun:
    """Read a folder that `python -m training run` finished.

    Raises:
        ValueError: it is no such folder, or an older release wrote it.
    """
    for name in (RESULTS, SETTINGS):
        if not (folder / name).exists():
            raise ValueError(
                f"{folder} has no {name}: it is no finished run. Name a folder that `python -m "
                "training run` has finished; run it again where an older release did."
            )
    every = pd.read_parquet(folder / RESULTS)
    missing = {"seed", "method", *(f.name for f in fields(Row))} - set(every.columns)
    if missing:
        raise ValueError(
            f"{folder / RESULTS} has no column {min(missing)!r}: an older release wrote it; run "
            "the experiment again."
        )
    found = every[~every["method"].isin(BASELINES)]
    if NO_BC.name not in set(found["method"]):
        raise ValueError(f"{folder / RESULTS} has no rows of {NO_BC.name}, the reference.")
    settings = json.loads((folder / SETTINGS).read_text())
    return FinishedRun(settings["name"], found, every, settings)


def find_runs(folders: Sequence[Path], root: Path) -> list[FinishedRun]:
    """The runs in these folders, or in all folders of `root` where none is named.

    Raises:
        ValueError: no run, or two of the same name.
    """
    if not folders:
        folders = sorted(path.parent for path in root.glob(f"*/{RESULTS}"))
    if not folders:
        raise ValueError(f"No finished run under {root}; `python -m training run` makes one.")
    runs = [read_run(folder) for folder in folders]
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Two of the folders hold experiment {twice!r}; report them apart.")
    return runs
