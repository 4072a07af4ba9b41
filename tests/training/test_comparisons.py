"""The main table, the compatibility of versions and the encoder's gate, on numbers from hand."""

import math

import pandas as pd
import pytest

from training.comparison.comparisons import (
    FROZEN_VECTORS,
    NATIVE_TODAY,
    RETRAINED_CONSUMER,
    TWIN_MAPPED,
    comparisons,
    of_equal_epochs,
)
from training.comparison.compatibility import (
    asymmetric_retrieval,
    backfill_curve,
    compatibility_matrix,
    compatible_shares,
    drift_by_age,
)
from training.comparison.degradation import consumers, frame
from training.comparison.encoder_gate import hurdles, is_sound, users_of, verdict_of
from training.comparison.ranking import ALL, CEILING, ERRORS, OWN, rank_correlations
from training.comparison.row import (
    ASYMMETRIC,
    AUROC,
    BACKFILL,
    CENTRED_HELD_OUT,
    FAMILY_ERROR,
    FROZEN,
    PROBE,
    RECALL,
    RETRAINED,
    TEST_USERS,
    VALIDATION_USERS,
    Row,
)

SERVED = {"Fix-M0": 0.80, "NoBC": 0.50, "Twin": 0.82, "BC-Aligner": 0.84, "BC-Grow": 0.79}
EXTRA = {"Post-Least-Squares": 0.83, "Joint-Lin-SLoss": 0.81}


def _rows(method: str) -> list[Row]:
    served = {**SERVED, **EXTRA}[method]
    rows = [Row(0, RECALL, 0.2), Row(0, TEST_USERS, 700), Row(0, VALIDATION_USERS, 170)]
    for k in (1, 2):
        rows += [Row(k, RECALL, 0.2 if method == "NoBC" else 0.18), Row(k, TEST_USERS, 800)]
        rows.append(Row(k, ASYMMETRIC, served / 10, 0))
        for j in range(k):
            rows.append(Row(k, CENTRED_HELD_OUT, 0.1 * (k - j), j))
            value = served - 0.02 * j
            rows.append(
                Row(
                    *(k, AUROC, value, j, "spend", 0.8, 0.01, "logistic", "user_embedding"),
                    difference=0.003,
                    resampled=[value, 0.9],
                    resampled_native=[0.8, 0.8],
                )
            )
        rows.append(Row(k, AUROC, 0.4, 0, "luck", 0.5, 0.01, "logistic", difference=0.01))
        for family, sign in (("user_embedding", 1), ("item_embedding", -1)):
            rows.append(Row(k, PROBE, sign * served, 0, consumer="logistic", family=family))
            rows.append(Row(k, FAMILY_ERROR, sign * served, 0, family=family))
        if method == "Fix-M0":
            rows.append(Row(k, FROZEN, 0.76, 0, "spend", consumer="logistic"))
            rows.append(Row(k, FROZEN, 0.5, 0, "luck", consumer="logistic"))
        if method == "NoBC":
            rows.append(Row(k, RETRAINED, 0.88, 0, "spend", consumer="logistic"))
            rows.append(Row(k, RETRAINED, 0.6, 0, "luck", consumer="logistic"))
    for share in (0.0, 1.0):
        value = 0.8 + share * (served - 0.8)
        rows.append(Row(2, BACKFILL, value, 0, "spend", consumer="logistic", share=share))
    return rows


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return frame({(0, method): _rows(method) for method in {**SERVED, **EXTRA}})


def test_the_main_table(found: pd.DataFrame) -> None:
    rows = {row.name: row for row in comparisons(found, "logistic", list(SERVED))}
    assert list(rows) == [
        NATIVE_TODAY,
        FROZEN_VECTORS,
        TWIN_MAPPED,
        "NoBC",
        "BC-Aligner",
        "BC-Grow",
        RETRAINED_CONSUMER,
    ]
    assert rows[NATIVE_TODAY].percent[0] == 0
    assert rows[FROZEN_VECTORS].percent[0] == pytest.approx(-5)
    assert rows[RETRAINED_CONSUMER].percent[0] == pytest.approx(10)
    assert rows[RETRAINED_CONSUMER].skill[0] == pytest.approx(100 * 0.08 / 0.3)
    assert rows["BC-Aligner"].percent[0] == pytest.approx(5)
    assert rows["BC-Aligner"].over_twin[0] == pytest.approx(2.5)  # the twin's 2.5 is no knowledge
    assert rows["BC-Grow"].over_twin[0] == pytest.approx(-3.75)
    assert math.isnan(rows[TWIN_MAPPED].over_twin[0])
    # A task below the gate stands in the table, and in no average.
    assert rows["BC-Aligner"].tasks == {
        "spend": pytest.approx(5),
        "luck": pytest.approx(-20),
    }


def test_grown_models_are_held_against_as_many_epochs(found: pd.DataFrame) -> None:
    assert of_equal_epochs(found) == ""
    long = frame({(0, "Post-Least-Squares-Long"): [Row(k, RECALL, 0.16) for k in range(3)]})
    long["seed"] = 0
    # BC-Grow's mean is .56 / 3; that of the long training .16.
    text = of_equal_epochs(pd.concat([found, long]))
    assert "intended 16.67 %." in text
    assert "as many epochs in all" in text


def test_which_versions_serve_which_consumers(found: pd.DataFrame) -> None:
    table = compatibility_matrix(found, "BC-Aligner", "spend", "logistic")
    assert table.loc["v2 serves"].tolist() == ["0.840 (0.800)", "0.820 (0.800)"]
    assert table.loc["v1 serves"].tolist() == ["0.840 (0.800)", ""]
    assert compatible_shares(found, "BC-Aligner", ["spend"], "logistic") == (1.0, 1.0)
    # v0's consumers lose .01, which is not shown to be within 1 %; v1's lose .03.
    assert compatible_shares(found, "BC-Grow", ["spend"], "logistic") == (0.0, 0.0)
    # .01 and -.01: the latter's bound is below -.008.
    shares = compatible_shares(found, "Joint-Lin-SLoss", ["spend"], "logistic")
    assert shares == pytest.approx((2 / 3, 2 / 3))
    assert all(math.isnan(s) for s in compatible_shares(found, "NoBC", ["none"], "logistic"))


def test_backfill_age_and_asymmetric_retrieval(found: pd.DataFrame) -> None:
    curve = backfill_curve(found, ["spend"], "logistic")
    assert curve["BC-Aligner"].tolist() == pytest.approx([0, 5])
    assert drift_by_age(found).loc["BC-Aligner"].tolist() == pytest.approx([0.1, 0.2])
    table = asymmetric_retrieval(found)
    assert table.index[0] == "native v0 users"
    assert table.loc["native v0 users"].tolist() == pytest.approx([0.18, 0.18])
    assert table.loc["BC-Grow"].tolist() == pytest.approx([0.079, 0.079])


def test_the_encoders_hurdles(found: pd.DataFrame) -> None:
    plain = {"most popular": [0.1, 0.1, 0.1], "recently popular": [0.1, 0.3, 0.1]}
    rows = {(0, name): [Row(k, RECALL, v) for k, v in enumerate(vs)] for name, vs in plain.items()}
    every = pd.concat([found, frame(rows)])
    assert hurdles(every) == {"most popular": [], "recently popular": [1], "Fix-M0": []}
    assert not is_sound(every)
    assert "does not beat recently popular in v1. Quote no degradation" in verdict_of(every)
    assert not is_sound(found)  # what was not run is not beaten
    validation, test = users_of(found)
    assert "v0: 170. WARNING: fewer than 500" in validation
    assert test.endswith("v0: 700, v1: 800, v2: 800.")


def test_probes_are_no_kind_of_consumers(found: pd.DataFrame) -> None:
    trees = frame({(0, "NoBC"): [Row(1, PROBE, 0.9, 0, consumer="trees")]})
    assert consumers(pd.concat([found, trees])) == ["logistic"]


def test_which_measure_ranks_as_the_consumers_do(found: pd.DataFrame) -> None:
    ranked = rank_correlations(found, "logistic", ["spend"], learned=True)
    assert ranked[OWN] == ranked[ALL] == pytest.approx(1)
    assert ranked[ERRORS] == pytest.approx(-1)  # as the fixture has it
    assert ranked[CEILING] == pytest.approx(1)  # of the second resample, which ties, nothing
    # Items' probes say nothing of what is asked about users.
    others = found["measure"].isin([PROBE]) & (found["family"] == "user_embedding")
    of_items = found[~others]
    assert math.isnan(rank_correlations(of_items, "logistic", ["spend"], learned=True)[OWN])
