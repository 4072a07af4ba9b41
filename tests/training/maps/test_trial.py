"""A trial over the models of a tiny finished run, by its command."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from training.comparison.experiment import Experiment, read_experiment
from training.comparison.run import Run
from training.encoders.encoder import ITEMS, USERS
from training.interactions.interactions import Interactions
from training.maps.__main__ import WAYS, main
from training.maps.trial import Outcome, Trial, table

SETTINGS = {
    "methods": ["NoBC"],
    "tasks": ["spend"],
    "quantiles": [0.55, 0.7, 0.85, 1.0],
    "consumers": ["logistic"],
    "consumer_versions": [0],
    "dims": [6, 8, 10],
    "schedule": {"epochs": 4, "batch": 64},
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    path = tmp_path_factory.mktemp("maps") / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return read_experiment(path)


@pytest.fixture(scope="module")
def trial(
    experiment: Experiment, shop: Interactions, tmp_path_factory: pytest.TempPathFactory
) -> Trial:
    run = Run(experiment, shop, tmp_path_factory.mktemp("run"), lambda _: None)
    run(["NoBC"], 1)
    versions = run.versions("NoBC", 0)
    return Trial(experiment, shop, versions, run.holdout, ["logistic"])


def test_every_way_has_an_outcome(trial: Trial) -> None:
    outcomes = {each.way: each for each in trial.outcomes(WAYS)}
    assert list(outcomes) == list(WAYS)
    plain, straight = outcomes["least squares"], outcomes["straight (models alive)"]
    assert straight.errors != plain.errors
    assert outcomes["anchored (models alive)"].errors != plain.errors
    for way in ("models alive", "sealed samples"):
        local, affine = outcomes[f"local straight ({way})"], outcomes[f"straight ({way})"]
        assert local.errors != affine.errors
    assert outcomes["local hops"].errors != plain.errors
    assert outcomes["consumers distilled"].errors[USERS] != plain.errors[USERS]
    assert outcomes["consumers distilled"].errors[ITEMS] == plain.errors[ITEMS]
    # Users who bought nothing new have the vector that M_0 itself gives them today.
    assert outcomes["unchanged kept"].errors[USERS] < plain.errors[USERS]
    assert outcomes["unchanged kept"].errors[ITEMS] == plain.errors[ITEMS]
    assert {key for each in outcomes.values() for key in each.losses} == {("logistic", "spend")}
    told = table(list(outcomes.values()), ["logistic"])
    assert len(told.splitlines()) == 2 + len(WAYS)
    assert f"| 2 | least squares | {plain.errors[USERS]:.3f} |" in told


def test_a_table_is_of_means_over_seeds() -> None:
    def outcome(error: float, loss: float) -> Outcome:
        errors = {USERS: error, ITEMS: error}
        return Outcome("no bias", 4, errors, {USERS: 1.0, ITEMS: np.nan}, {("mlp", "x"): loss})

    told = table([outcome(0.2, -0.01), outcome(0.4, -0.03)], ["mlp", "boosting"])
    assert told.splitlines()[-1] == "| 4 | no bias | 0.300 | 0.300 | 1.00 | nan | -2.00 | - |"


def test_the_command_asks_for_a_finished_run(tmp_path: Path) -> None:
    path = Path("training/experiments/online_retail_ii.yaml").resolve()
    asked = [str(path), "--folder", str(tmp_path / "none")]
    unknown = CliRunner().invoke(main, [*asked, "--ways", "magic"])
    assert unknown.exit_code == 1
    assert "No way 'magic'; there are least squares" in unknown.output
    missing = CliRunner().invoke(main, asked)
    assert missing.exit_code == 1
    assert re.search(r"has no version 0 of NoBC, seed 0; run the experiment first", missing.output)
