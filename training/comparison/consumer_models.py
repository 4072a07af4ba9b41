"""The consumer models of one seed's versions: born with a version and frozen, or retrained."""

from __future__ import annotations

import numpy as np
from sklearn.pipeline import Pipeline

from training.interactions.interactions import Interactions
from training.interactions.slices import Slice
from training.tasks.consumer import Labels, Vectors, train_consumer
from training.tasks.examples import Examples, Moment
from training.tasks.unintended_tasks import TASKS
from training.versions.alignment import Pair, vectors_of
from training.versions.methods import Method
from training.versions.version import Version


class ConsumerModels:
    """Trains each model once.

    Args:
        interactions: all of them.
        slices: one per version.
    """

    def __init__(self, interactions: Interactions, slices: list[Slice]) -> None:
        self._interactions, self._slices = interactions, slices
        self._frozen: dict[tuple[str, int, str, str], Pipeline | None] = {}
        self._examples: dict[tuple[str, int, int], Examples] = {}

    def asked(self, task: str, born: int, now: int) -> Examples:
        """The task's rows in the window of version `now`, thresholds as of version `born`."""
        key = (task, born, now)
        if key not in self._examples:
            moment = Moment(self._interactions, self._slices[born], self._slices[now])
            self._examples[key] = TASKS[task](moment)
        return self._examples[key]

    def born(self, method: Method, version: Version, task: str, kind: str) -> Pipeline | None:
        """The model born with a version; None where its window has but one label."""
        key = (method.encoder_of(version.number), version.number, task, kind)
        if key not in self._frozen:
            asked = self.asked(task, version.number, version.number)
            self._frozen[key] = _trained(asked, vectors_of(version, version.past), kind)
        return self._frozen[key]

    def retrained(self, newest: Version, before: Version, task: str, kind: str) -> Pipeline | None:
        """A model of version 0's question, trained on version k and the window before it.

        That is the newest window whose labels are known when version k is published.

        Args:
            newest: version k.
            before: version k-1, for its history: version k is run on it.
            task, kind: of the model.
        """
        asked = self.asked(task, 0, before.number)
        return _trained(asked, vectors_of(newest, before.past), kind)


def judged_rows(asked: Examples) -> Labels:
    """Bool, by row: those that a consumer is judged on."""
    return np.ones(len(asked.labels), bool) if asked.judged is None else asked.judged


def scores(consumer: Pipeline, features: Vectors) -> np.ndarray:
    """The probability of yes, float64, by row."""
    return np.asarray(consumer.predict_proba(features), np.float64)[:, 1]


def both(labels: Labels) -> bool:
    """Whether each label is there at least twice: what an AUROC and its deviation need."""
    return bool(min(labels.sum(), (~labels).sum()) >= 2)


def _trained(asked: Examples, vectors: Pair, kind: str) -> Pipeline | None:
    learned = np.ones(len(asked.labels), bool) if asked.judged is None else ~asked.judged
    labels = asked.labels[learned]
    return train_consumer(asked.features(*vectors)[learned], labels, kind) if both(labels) else None
