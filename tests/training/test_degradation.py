"""The paper's degradations on numbers that can be checked by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from training.comparison.degradation import (
    NORMAL,
    alignment,
    births,
    consumers,
    counted_tasks,
    frame,
    intended,
    interval,
    resampled_intended,
    resampled_unintended,
    task_bounds,
    unintended,
    with_users,
)
from training.comparison.row import AUROC, ERROR, RECALL, Row
from training.versions.methods import KEEP_ALL


def _rows(recalls: list[float], served: float, error: float) -> list[Row]:
    rows = [Row(k, RECALL, value) for k, value in enumerate(recalls)]
    for k in (1, 2):
        rows.append(Row(k, ERROR, error * k, 0))
        rows.append(Row(k, AUROC, served, 0, "cancel", 0.8, 0.01, "logistic"))
        rows.append(Row(k, AUROC, 0.5, 0, "weak", 0.56, 0.01, "logistic"))
        rows.append(Row(k, AUROC, 0.4, 0, "cancel", 0.8, 0.2, "mlp"))
    return rows


@pytest.fixture
def found() -> pd.DataFrame:
    return frame(
        {
            (0, "Fix-M0"): _rows([0.1, 0.1, 0.1], 0.8, 0.0),
            (0, "NoBC"): _rows([0.1, 0.2, 0.3], 0.6, 3.0),
            (0, "BC-Aligner"): _rows([0.1, 0.2, 0.24], 0.76, 1.0),
        }
    )


def test_intended_is_relative_to_no_bc(found: pd.DataFrame) -> None:
    loss = intended(found).loc[0]
    assert loss["BC-Aligner"] == pytest.approx(-10)
    assert loss["Fix-M0"] == pytest.approx(-50)
    assert loss["NoBC"] == loss[KEEP_ALL] == 0


def test_unintended_is_relative_to_native_vectors(found: pd.DataFrame) -> None:
    loss = unintended(found, ["cancel"], "logistic").loc[0]
    assert loss["BC-Aligner"] == pytest.approx(-5)
    assert loss["NoBC"] == pytest.approx(-25)
    assert loss["Fix-M0"] == loss[KEEP_ALL] == 0


def test_skill_is_what_is_above_chance(found: pd.DataFrame) -> None:
    loss = unintended(found, ["cancel"], "logistic", chance=0.5).loc[0]
    assert loss["BC-Aligner"] == pytest.approx(100 * -0.04 / 0.3)
    assert loss["NoBC"] == pytest.approx(100 * -0.2 / 0.3)


def test_alignment_error_is_the_mean_over_versions_from_1_on(found: pd.DataFrame) -> None:
    assert alignment(found, ERROR).loc[0, "NoBC"] == pytest.approx((3 + 6) / 2)
    assert alignment(found, ERROR).loc[0, KEEP_ALL] == 0
    with pytest.raises(ValueError, match="no alignment error"):
        alignment(found, RECALL)


def test_tasks_without_signal_do_not_count(found: pd.DataFrame) -> None:
    bounds = task_bounds(found, "logistic")
    assert counted_tasks(found, "logistic") == ["cancel"]
    assert counted_tasks(found, "mlp") == []  # known too badly
    assert consumers(found) == ["logistic", "mlp"]
    assert births(found, "mlp") == [0]
    assert bounds["cancel"] == pytest.approx(0.8 - 0.0196)
    assert bounds["weak"] == pytest.approx(0.56 - 0.0196)


def test_interval_over_seeds() -> None:
    mean, width = interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert math.isnan(interval([1.0])[1])


def test_intended_against_another_reference(found: pd.DataFrame) -> None:
    assert intended(found, "Fix-M0").loc[0, "NoBC"] == pytest.approx(100)


def test_the_interval_holds_seeds_and_users() -> None:
    draws = np.array([0.5, 1.5, 2.5, 3.5])
    over_users = NORMAL * draws.std(ddof=1)
    assert with_users([1.0], draws) == pytest.approx((1.0, over_users))
    mean, width = with_users([1.0, 2.0, 3.0], draws)
    assert mean == 2
    assert width == pytest.approx(math.hypot(4.302653 / math.sqrt(3), over_users), rel=1e-5)
    assert with_users([1.0, 2.0, 3.0], []) == interval([1.0, 2.0, 3.0])


def test_losses_of_resampled_users() -> None:
    def rows(recall: float, served: list[float]) -> list[Row]:
        own = Row(0, RECALL, recall, resampled=[recall, 2 * recall])
        native = [0.8, 0.6]
        one = Row(
            *(1, AUROC, 0.7, 0, "cancel", 0.8, 0.01, "logistic"),
            resampled=served,
            resampled_native=native,
        )
        return [own, one]

    found = frame({(0, "NoBC"): rows(0.1, [0.4, 0.6]), (0, "Own"): rows(0.2, [0.8, 0.3])})
    assert resampled_intended(found, "Own", "NoBC").tolist() == pytest.approx([100, 100])
    draws = resampled_unintended(found, ["cancel"], "logistic", "Own")
    assert draws.tolist() == pytest.approx([0, -50])
    assert resampled_unintended(found, ["cancel"], "logistic", KEEP_ALL).tolist() == [0, 0]
