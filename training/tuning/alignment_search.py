"""Choose the weight of the joint loss, and how long to train with it, on validation alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from feast_bc.publishing.centred_error import centred_error
from feast_bc.transforms.holdout import Holdout
from training.comparison.experiment import Experiment
from training.encoders.encoder import USERS
from training.interactions.history import history
from training.interactions.interactions import Interactions
from training.tasks.recall import first_purchases, recall
from training.versions.methods import Method
from training.versions.version import Version, train_version

WEIGHTS = (1.0, 4.0, 16.0, 64.0)
"""lambda; the paper's is 16."""
SHARES = (0.5, 1.0, 2.0)
"""Of the experiment's epochs."""


@dataclass(frozen=True)
class Trial:
    """The result of one setting, mean over seeds.

    Attributes:
        weight: lambda.
        epochs: of version 1.
        recall: Recall@50 of version 1 on its validation window.
        error: the centred error ||B_1(z_1) - z_0||_F / ||z_0 - mean(z_0)||_F over users that no
            alignment saw.
    """

    weight: float
    epochs: int
    recall: float
    error: float

    def __str__(self) -> str:
        return (
            f"lambda {self.weight:g}, {self.epochs} epochs: "
            f"Recall@50 {self.recall:.4f}, centred error {self.error:.3f}"
        )


class JointValidation:
    """Trains version 1 on what lies before its validation window, and judges it there.

    No later version is judged on the interactions that are looked at here. Version 0 is judged on
    some of them, but it is the same for all methods and settings.

    Args:
        experiment: its data, dims and schedule.
        interactions: all of them; those after version 1's validation window are dropped first.
        device: as in `Schedule`.
    """

    def __init__(self, experiment: Experiment, interactions: Interactions, device: str) -> None:
        first, second = experiment.slices(interactions)[:2]
        known = interactions.until(second.end)
        half_life = experiment.half_life_days
        self._experiment, self._device = experiment, device
        self._before = history(known, first.end, half_life_days=half_life)
        self._past = history(known, second.validation_start, half_life_days=half_life)
        later = known.between(second.validation_start, second.end)
        self._truth = first_purchases(later, self._past)
        self._holdout = Holdout()
        self._oldest: dict[int, Version] = {}

    def trial(self, method: Method, seeds: int, weight: float, epochs: int) -> Trial:
        """One setting, under the first seeds of the experiment."""
        found = [self._measure(method, seed, weight, epochs) for seed in range(seeds)]
        reached, error = np.mean(found, axis=0)
        return Trial(weight, epochs, float(reached), float(error))

    def _measure(
        self, method: Method, seed: int, weight: float, epochs: int
    ) -> tuple[float, float]:
        past, recipe = self._past, self._experiment.recipe()
        schedule = replace(self._experiment.training(seed), device=self._device)
        dims = self._experiment.dims
        if seed not in self._oldest:
            self._oldest[seed] = train_version(
                method, [], self._before, dims[0], schedule, self._holdout, recipe=recipe
            )
        oldest = self._oldest[seed]
        own = replace(schedule, alignment=weight, epochs=epochs, seed=schedule.seed + 1)
        unweighted = replace(method, weight=None)
        newest = train_version(
            unweighted, [oldest], past, dims[1], own, self._holdout, recipe=recipe
        )
        users = newest.encoder.users(past).numpy()
        served = newest.backward[USERS].apply(users)
        native = oldest.encoder.users(past).numpy()
        judged = self._holdout.contains(past.user_ids.to_pylist())
        judged &= oldest.encoder.knows_users(past).numpy()
        error = centred_error(served[judged], native[judged])
        if error is None:
            raise ValueError("Version 0 has one vector for all held-out users.")
        return recall(users, newest.encoder.items(past).numpy(), self._truth, past.bought), error


def tune_alignment(
    experiment: Experiment,
    interactions: Interactions,
    method: Method,
    seeds: int,
    say: Callable[[str], None],
    *,
    device: str = "cpu",
) -> list[Trial]:
    """Every weight with every number of epochs, the best Recall@50 first.

    Args:
        experiment, interactions, device: as for `JointValidation`.
        method: a joint one; a weight of its own is not used.
        seeds: how many to take the mean of.
        say: takes a line per trial.

    Raises:
        ValueError: the method does not train its encoder and its map together.
    """
    if not method.joint:
        raise ValueError(f"{method.name} has no joint loss, so there is no weight to choose.")
    validation = JointValidation(experiment, interactions, device)
    trials = []
    for weight, share in product(WEIGHTS, SHARES):
        epochs = max(round(share * experiment.training(0).epochs), 1)
        trials.append(validation.trial(method, seeds, weight, epochs))
        say(str(trials[-1]))
    return sorted(trials, key=lambda trial: -trial.recall)
