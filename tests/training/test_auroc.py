"""AUROCs, their errors and their resamples, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.comparison.resamples import RESAMPLES, Resamples
from training.tasks.auroc import delong, paired_delong, resampled_aurocs
from training.tasks.examples import Examples

RNG = np.random.default_rng(0)
LABELS = RNG.random(400) < 0.3
A = np.round(LABELS + RNG.normal(size=400), 1)  # with ties
B = np.round(A + 0.3 * RNG.normal(size=400), 1)


def test_a_resample_is_the_auroc_of_repeated_rows() -> None:
    weights = RNG.poisson(size=(5, 400))
    found = resampled_aurocs(LABELS, A, weights)
    for value, times in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(400), times)
        assert value == pytest.approx(roc_auc_score(LABELS[rows], A[rows]))
    assert np.isnan(resampled_aurocs(LABELS, A, LABELS[None].astype(int))[0])


def test_the_paired_error_is_that_of_resampled_differences() -> None:
    weights = RNG.poisson(size=(2000, 400))
    difference = resampled_aurocs(LABELS, A, weights) - resampled_aurocs(LABELS, B, weights)
    assert paired_delong(LABELS, A, B) == pytest.approx(difference.std(), rel=0.1)
    assert paired_delong(LABELS, A, A) == 0
    assert paired_delong(LABELS, A, B) < delong(LABELS, A)[1]


def test_resamples_hang_together() -> None:
    resamples = Resamples(50, 20)
    users = np.arange(50)
    values = RNG.random(50)
    means = resamples.means(users, values)
    assert len(means) == RESAMPLES
    assert np.std(means) == pytest.approx(values.std() / np.sqrt(50), rel=0.3)
    asked = Examples(users % 2 == 0, user=users)
    judged = np.ones(50, bool)
    draws = resamples.aurocs(asked, judged, values)
    assert np.mean(draws) == pytest.approx(delong(asked.labels, values)[0], abs=0.03)
    of_pairs = Examples(asked.labels, user=users, item=users % 20)
    assert resamples.aurocs(of_pairs, judged, values) == draws
    with pytest.raises(ValueError, match="neither users nor items"):
        resamples.aurocs(Examples(asked.labels), judged, values)
