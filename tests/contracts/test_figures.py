"""A figure under weights is the figure of the entities so often repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from feast_bc.contracts.figures import auc_of, classes_of, decisions_of, figure_of, mean_of
from feast_bc.errors import ContractError

ROWS = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30
)


@given(rows=ROWS)
def test_auc_counts_ties_half_and_repeats_as_often(rows: list[tuple[int, bool, int]]) -> None:
    scores, truth, counts = (np.array(column) for column in zip(*rows, strict=True))
    found = auc_of(scores.astype(float), truth)(counts)
    repeated = np.repeat(truth, counts)
    if len(set(repeated)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(repeated, np.repeat(scores, counts)))


@given(rows=ROWS, gaps=st.booleans())
def test_means_leave_out_what_is_not_known(rows: list[tuple[int, bool, int]], gaps: bool) -> None:
    values, known, counts = (np.array(column) for column in zip(*rows, strict=True))
    values = np.where(known | (not gaps), values, np.nan)
    repeated = np.repeat(values, counts)
    found = mean_of(values)(counts)
    if np.isnan(repeated).all():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.nanmean(repeated))


def test_metrics() -> None:
    label, ones = np.array([0.0, 1.0, 1.0]), np.ones(3, np.int64)
    scores = np.array([-1.0, 2.0, -3.0])

    def found(metric: str, given: np.ndarray = scores, threshold: float | None = None) -> float:
        return figure_of(metric, given, label, threshold, of="a model")(ones)  # type: ignore[arg-type]

    assert found("auc") == 0.5
    assert found("accuracy", threshold=0.0) == pytest.approx(2 / 3)
    assert found("accuracy", np.stack([-scores, scores], axis=1)) == pytest.approx(2 / 3)
    assert found("auc", np.stack([-scores, scores], axis=1)) == 0.5
    assert found("mse") == pytest.approx((1 + 1 + 16) / 3)
    assert found("mae") == pytest.approx((1 + 1 + 4) / 3)
    with pytest.raises(ContractError, match="a model gives one score per entity; expected --thre"):
        found("accuracy")
    with pytest.raises(ContractError, match="gives 3 scores per entity; expected one for mse"):
        found("mse", np.eye(3))


def test_what_a_consumer_decides() -> None:
    native, served = np.array([0.0, 1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0, 0.0])
    label = np.array([0.0, 0.0, 0.0, 1.0])

    def flips(*arguments: object) -> list[bool] | None:
        found = decisions_of(*arguments)  # type: ignore[arg-type]
        return None if found is None else (found[0] != found[1]).tolist()

    assert flips("auc", native, served, label, None) == [True, False, False, True]
    assert flips("auc", native, served, label, 1.5) == [True, False, False, True]
    assert flips("mse", native, served, label, None) is None
    assert flips("mse", native, served, label, 2.5) == [True, False, False, True]
    assert flips(None, native, served, None, None) is None
    assert flips(None, native > 1, served > 1, None, None) == [True, False, False, True]
    classes = np.eye(4), np.eye(4)[::-1]
    assert flips("accuracy", *classes, label, None) == [True] * 4
    assert classes_of(np.eye(4), None, of="a model").tolist() == [0, 1, 2, 3]
