"""The search for an experiment's settings."""

import numpy as np
import pytest

import training.tuning.coordinate_search
from training.comparison.experiment import Experiment
from training.interactions.interactions import Interactions
from training.tuning.coordinate_search import tune

TINY = Experiment(
    name="tiny",
    methods=(),
    tasks=(),
    quantiles=(0.55, 0.7, 1.0),
    dims=(6, 8),
    schedule={"batch": 64, "learning_rate": 1e-4},
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.tuning.coordinate_search, "GRID", {"learning_rate": (1e-4, 0.02)})
    monkeypatch.setattr(training.tuning.coordinate_search, "READOUTS", ((0.1, 0.25), (0.1, 0.0)))


def test_a_better_setting_is_found(shop: Interactions) -> None:
    said: list[str] = []
    found = tune(TINY, shop, 6, said.append)
    assert found["learning_rate"] == 0.02
    assert found["epochs"] in (2, 4, 6)
    assert said[0].startswith("most popular")
    assert said[-1].startswith("chosen")


def test_the_search_sees_nothing_after_the_validation_window(shop: Interactions) -> None:
    later = np.flatnonzero(shop.timestamp > TINY.slices(shop)[0].end)
    item = shop.item.copy()
    item[later] = np.random.default_rng(0).permutation(item[later])
    other = Interactions(**{**vars(shop), "item": item})
    one: list[str] = []
    two: list[str] = []
    assert tune(TINY, shop, 4, one.append) == tune(TINY, other, 4, two.append)
    assert one == two
