"""Choose an experiment's settings on the validation window of version 0, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import scipy.sparse as sp

from training.comparison.experiment import Experiment
from training.encoders.encoder import Encoder
from training.encoders.fold_in import FoldIn, Readout
from training.interactions.history import History, history
from training.interactions.interactions import Interactions
from training.tasks.recall import first_purchases, item_knn, most_popular, recall
from training.versions.trainer import fit

GRID: Mapping[str, tuple[float, ...]] = {
    "half_life_days": (15, 30, 60, 120, 365, 1000),
    "learning_rate": (0.005, 0.01, 0.02, 0.05),
    "weight_decay": (0.0, 1e-5, 1e-4, 1e-3),
    "masked": (0.3, 0.5, 0.7),
}
READOUTS = tuple(product((0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), (0.0, 0.125, 0.25, 0.5)))
_EVERY = 2  # epochs between two looks

Settings = Mapping[str, float]


class Validation:
    """Recall@50 on v0's validation window, for fits that end where the window begins."""

    def __init__(
        self, experiment: Experiment, interactions: Interactions, device: str = "cpu"
    ) -> None:
        window = experiment.slices(interactions)[0]
        # Nothing later than the window can be looked at by accident.
        self._known = interactions.until(window.end)
        self._window = window
        self._experiment, self._device = experiment, device

    def baselines(self) -> Mapping[str, float]:
        """Most popular, recently popular (this experiment's half-life) and item-kNN."""
        past, truth = self._split(self._experiment.half_life_days)
        return {
            "most popular": recall(*most_popular(past.bought), truth, past.bought),
            "recently popular": recall(*most_popular(past.recency), truth, past.bought),
            "item-kNN": item_knn(past.bought, truth),
        }

    def best_epoch(self, settings: Settings) -> tuple[float, int]:
        """The best Recall@50 in the course of a fit, and the epoch that had it."""
        found: dict[int, float] = {}
        self._fit(settings, lambda epoch, score, _: found.update({epoch: score()}))
        epoch = max(found, key=lambda e: found[e])
        return found[epoch], epoch

    def best_readout(self, settings: Settings) -> tuple[float, float, float]:
        """The best Recall@50 after `settings["epochs"]`, with its ridge and damping."""
        found: dict[tuple[float, float], float] = {}

        def look(epoch: int, score: Callable[[], float], encoder: Encoder) -> None:
            if epoch != settings["epochs"] or not isinstance(encoder, FoldIn):
                return
            for ridge, damping in READOUTS:
                encoder.readout = Readout(settings["masked"], ridge, damping)
                found[ridge, damping] = score()

        self._fit(settings, look)
        best = max(found, key=lambda r: found[r])
        return found[best], *best

    def _split(self, half_life: float) -> tuple[History, sp.csr_matrix]:
        past = history(self._known, self._window.validation_start, half_life_days=half_life)
        later = self._known.between(self._window.validation_start, self._window.end)
        return past, first_purchases(later, past)

    def _fit(
        self, settings: Settings, look: Callable[[int, Callable[[], float], Encoder], None]
    ) -> None:
        past, truth = self._split(settings["half_life_days"])
        own = {
            "epochs": int(settings["epochs"]),
            "learning_rate": settings["learning_rate"],
            "weight_decay": settings["weight_decay"],
            "masked": settings["masked"],
        }
        trial = replace(
            self._experiment,
            schedule={**self._experiment.schedule, **own},
            ridge=settings["ridge"],
            damping=settings["damping"],
        )
        schedule = replace(trial.training(0), device=self._device)
        encoder = trial.recipe().fresh(past, 0, trial.dims[0], schedule.seed)

        def score() -> float:
            vectors = encoder.users(past).numpy(), encoder.items(past).numpy()
            return recall(*vectors, truth, past.bought)

        def after(epoch: int) -> None:
            if epoch % _EVERY == 0 or epoch == schedule.epochs:
                look(epoch, score, encoder)

        fit(encoder, past, schedule, after_epoch=after)


def tune(
    experiment: Experiment,
    interactions: Interactions,
    most_epochs: int,
    say: Callable[[str], None],
    *,
    device: str = "cpu",
) -> Settings:
    """Search one setting at a time, and keep each value that is better than the best so far.

    The readout comes first, then each setting of `GRID`, then the readout once more. Only
    `fold_in` has a readout.

    Args:
        experiment: where the search starts.
        interactions: all of them; those after v0's validation window are dropped first.
        most_epochs: the longest fit.
        say: takes a line per trial.
        device: where the fits run.
    """
    validation = Validation(experiment, interactions, device)
    for name, value in validation.baselines().items():
        say(f"{name}: {value:.4f}")
    start = experiment.training(0)
    settings: dict[str, float] = {
        "half_life_days": experiment.half_life_days,
        "learning_rate": start.learning_rate,
        "weight_decay": start.weight_decay,
        "masked": start.masked,
        "ridge": experiment.ridge,
        "damping": experiment.damping,
        "epochs": most_epochs,
    }

    def read_out(best: float) -> float:
        if experiment.encoder != "fold_in":
            return best
        score, ridge, damping = validation.best_readout(settings)
        say(f"ridge {ridge:g}, damping {damping:g}: {score:.4f}")
        if score > best:
            settings.update(ridge=ridge, damping=damping)
        return max(best, score)

    def epochs(trial: Mapping[str, float]) -> tuple[float, int]:
        return validation.best_epoch({**trial, "epochs": most_epochs})

    best, settings["epochs"] = epochs(settings)
    say(f"as given, {settings['epochs']} epochs: {best:.4f}")
    best = read_out(best)
    for name, values in GRID.items():
        for value in values:
            if value == settings[name]:
                continue
            score, count = epochs({**settings, name: value})
            say(f"{name} {value:g}, {count} epochs: {score:.4f}")
            if score > best:
                best = score
                settings.update({name: value, "epochs": count})
    best = read_out(best)
    say(f"chosen: {best:.4f}")
    return settings
