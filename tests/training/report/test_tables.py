"""The report's tables against numbers from hand."""

from pathlib import Path

import pandas as pd
import pytest

from training.report import tables
from training.report.finished_run import FinishedRun, read_run
from training.report.look import BLUE, GREY, best_own, looks


@pytest.fixture(scope="module")
def run(runs: Path) -> FinishedRun:
    return read_run(runs / "sound")


def test_storage(run: FinishedRun) -> None:
    table = tables.storage_table(run)
    assert table.loc["Keep-All"].tolist() == ["6.00", "0", "0.00", "100 %"]
    # 3 MiB of v2's vectors; two versions' maps of 2 ** 17 numbers are 1 MiB.
    assert table.loc["BC-Aligner"].tolist() == ["3.00", "262,144", "1.00", "67 %"]


def test_seconds_and_memory(run: FinishedRun) -> None:
    assert tables.seconds_table(run).loc["NoBC"].tolist() == ["10.0", "11.0", "12.0", "33.0"]
    assert tables.peak_memory(run) == 100
    without = FinishedRun(run.name, run.found[run.found["measure"] == "recall"], run.every, {})
    assert tables.seconds_table(without).empty


def test_gate(run: FinishedRun) -> None:
    table = tables.gate_table(run, "mlp")
    assert table.loc["spend"].tolist() == ["0.800", "0.780", "counts"]
    assert table.loc["luck"].tolist() == ["0.520", "0.500", "no: greyed"]


def test_baselines_come_first(run: FinishedRun) -> None:
    table = tables.recall_table(run)
    assert table.index[0] == "most popular"
    assert table.loc["NoBC", "v0"] == "0.2000"


def test_summary(run: FinishedRun) -> None:
    table = tables.summary_table(run)
    assert table.loc["Keep-All"].tolist() == ["0"] * 5 + ["0", "1.00"]
    # -1, -2 and -3 in thousandths below -2 %: the mean over seeds, and t of two degrees of freedom.
    assert table.loc["BC-Aligner", "unintended %, logistic"] == "\N{MINUS SIGN}2.10 ± 0.25"


def test_overview_quotes_nothing_of_a_weak_encoder(runs: Path) -> None:
    table = tables.overview_table([read_run(runs / name) for name in ("sound", "weak")])
    assert table.loc["sound: NoBC", "intended %"] == "0"
    assert table.loc["sound: BC-Aligner", "unintended %, logistic"] == "\N{MINUS SIGN}2.10 ± 0.25"
    assert table.loc["weak: BC-Aligner", "intended %"] == "not quoted"
    assert table.loc["weak: BC-Aligner", "unintended %, logistic"] == "not quoted"


def test_one_seed_has_no_interval() -> None:
    assert tables.with_interval(pd.Series([1.234])) == "1.23"


def test_few_methods_stand_out(run: FinishedRun) -> None:
    shown = looks(run)
    assert best_own(run) == "Own <1>"
    assert shown["BC-Aligner"].color == BLUE
    assert shown["Fix-M0"].color == GREY
    assert sum(look.emphasised for look in shown.values()) == 3
