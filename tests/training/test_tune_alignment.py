"""The search for the weight of the joint loss."""

import numpy as np
import pytest

import training.tuning.alignment_search
from training.comparison.experiment import Experiment
from training.interactions.interactions import Interactions
from training.tuning.alignment_search import tune_alignment
from training.versions.methods import METHODS

TINY = Experiment(
    name="tiny",
    methods=(),
    tasks=(),
    quantiles=(0.55, 0.7, 1.0),
    dims=(6, 8),
    schedule={"batch": 64, "learning_rate": 0.02, "epochs": 4},
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.tuning.alignment_search, "WEIGHTS", (0.1, 64.0))
    monkeypatch.setattr(training.tuning.alignment_search, "SHARES", (1.0,))


def test_a_larger_weight_aligns_better_and_the_best_recall_comes_first(shop: Interactions) -> None:
    said: list[str] = []
    trials = tune_alignment(TINY, shop, METHODS["BC-Aligner"], 2, said.append)
    assert len(said) == len(trials) == 2
    assert trials[0].recall >= trials[1].recall
    error = {trial.weight: trial.error for trial in trials}
    assert error[64.0] < error[0.1]


def test_the_search_sees_nothing_after_the_validation_window(shop: Interactions) -> None:
    later = np.flatnonzero(shop.timestamp > TINY.slices(shop)[1].end)
    item = shop.item.copy()
    item[later] = np.random.default_rng(0).permutation(item[later])
    other = Interactions(**{**vars(shop), "item": item})
    method = METHODS["BC-Aligner"]
    one = tune_alignment(TINY, shop, method, 1, lambda _: None)
    assert one == tune_alignment(TINY, other, method, 1, lambda _: None)


def test_a_method_without_a_joint_loss_has_nothing_to_choose(shop: Interactions) -> None:
    with pytest.raises(ValueError, match="NoBC has no joint loss"):
        tune_alignment(TINY, shop, METHODS["NoBC"], 1, lambda _: None)
