"""Finished runs with numbers that can be checked by hand."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from training.comparison.experiment import Experiment
from training.comparison.results import write_results
from training.comparison.row import (
    AUROC,
    BACKFILL,
    CENTRED_HELD_OUT,
    LARGEST,
    MAP_PARAMETERS,
    PEAK_RSS,
    RECALL,
    SECONDS,
    SMALLEST,
    TEST_USERS,
    VECTOR_BYTES,
    Row,
)
from training.comparison.run import SETTINGS
from training.encoders.encoder import ITEMS, USERS

METHODS = ("Fix-M0", "NoBC", "BC-Aligner", "Own <1>")
TASKS = {"spend": (0.8, 0.01), "luck": (0.52, 0.01)}  # native AUROC and its deviation


def _rows(method: str, seed: int) -> list[Row]:
    scale = {"Fix-M0": 0.9, "NoBC": 1.0, "BC-Aligner": 0.98, "Own <1>": 0.99}[method]
    loss = {"Fix-M0": 0.0, "NoBC": 0.3, "BC-Aligner": 0.02, "Own <1>": 0.01}[method]
    rows = []
    for k in range(3):
        rows.append(Row(k, RECALL, 0.2 if k == 0 else 0.2 * (scale + 0.001 * seed)))
        rows.append(Row(k, SECONDS, 10.0 + k))
        rows.append(Row(k, PEAK_RSS, 100 * 2**20))
        for j in range(k + 1):
            rows.append(Row(k, VECTOR_BYTES, 2**20 * (j + 1), j))
        if k == 0:
            continue
        rows.append(Row(k, MAP_PARAMETERS, 2**17))
        rows.append(Row(k, CENTRED_HELD_OUT, loss * k, 0))
        for j in range(k):
            for family in (USERS, ITEMS):
                rows.append(Row(k, LARGEST, 2.0, j, family=family))
                rows.append(Row(k, SMALLEST, 0.5, j, family=family))
        rows.append(Row(k, TEST_USERS, 400))
        for task, (native, deviation) in TASKS.items():
            for kind in ("logistic", "mlp"):
                served = native * (1 - loss - 0.001 * seed * (loss > 0))
                row = Row(k, AUROC, served, 0, task, native, deviation, kind, difference=0.001)
                rows.append(row)
                if k == 2:
                    curve = [(0.0, native), (1.0, served)]
                    rows += [
                        Row(k, BACKFILL, value, 0, task, consumer=kind, share=share)
                        for share, value in curve
                    ]
    return rows


def finished(folder: Path, name: str, *, seeds: int = 3, popular: float = 0.1) -> Path:
    """A run's folder; `popular` is most-popular's Recall@50, against about .2 of the encoder."""
    folder = folder / name
    folder.mkdir(parents=True)
    rows = {(s, m): _rows(m, s) for s in range(seeds) for m in METHODS}
    plain = {
        name: [Row(k, RECALL, value) for k in range(3)]
        for name, value in (("most popular", popular), ("recently popular", 0.1))
    }
    write_results(folder, rows, plain)
    said = Experiment(name, METHODS, tuple(TASKS), quantiles=(0.5, 0.6, 0.7, 1.0), dims=(4, 5, 6))
    (folder / SETTINGS).write_text(json.dumps(asdict(said)))
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two finished runs: a sound one, and one whose encoder is too weak."""
    root = tmp_path_factory.mktemp("runs")
    finished(root, "sound")
    finished(root, "weak", seeds=1, popular=0.3)
    return root
