"""What a method's newest version is worth: to its own team, and to consumers of older ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.pipeline import Pipeline

from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.holdout import Holdout
from training.comparison.experiment import Experiment
from training.encoders.encoder import ITEMS, USERS
from training.interactions.history import History
from training.interactions.interactions import Interactions
from training.tasks.auroc import delong
from training.tasks.consumer import Labels, Vectors, train_consumer
from training.tasks.examples import Examples, Moment
from training.tasks.recall import first_purchases, recall
from training.tasks.unintended_tasks import TASKS
from training.versions.alignment import singular_values
from training.versions.methods import Method
from training.versions.version import Version

RECALL, AUROC = "recall", "auroc"
ERROR, RELATIVE, HELD_OUT = "alignment_error", "relative_error", "relative_error_held_out"
LARGEST, SMALLEST = "largest_singular_value", "smallest_singular_value"
SECONDS, PEAK_RSS = "seconds", "peak_rss"
VECTOR_BYTES, MAP_PARAMETERS = "vector_bytes", "map_parameters"

Pair = tuple[Vectors, Vectors]
"""The vectors of all users and of all items."""


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        version: k, the newest version.
        measure: RECALL (Recall@50 in the test window); AUROC of a consumer model; ERROR: the
            mean over users and items of ||z~_j - z_j||_2, as in the paper; RELATIVE: the mean
            over the two families of ||z~_j - z_j||_F / ||z_j||_F; HELD_OUT: the same over
            entities that no alignment saw; LARGEST and SMALLEST: singular values of the chain
            k -> j of one family; SECONDS: training M_k and B_k, on the machine that did; PEAK_RSS:
            the peak resident set size, in bytes, of the process that trained version k, from its
            start to then; VECTOR_BYTES: float32 vectors of version j for the users and items of
            version k; MAP_PARAMETERS: numbers in B_k, both families.
        value: the number; of a consumer model: when served from version k.
        serves: j, the older version that is served (k itself for VECTOR_BYTES of the newest
            vectors); None for RECALL and costs.
        task, consumer: of the consumer model.
        family: of the singular values.
        native: its AUROC on native vectors of version j.
        deviation: the standard error of `native`.
    """

    version: int
    measure: str
    value: float
    serves: int | None = None
    task: str | None = None
    native: float | None = None
    deviation: float | None = None
    consumer: str | None = None
    family: str | None = None


class Judge:
    """Measures the versions of one seed; keeps the frozen consumer models.

    Args:
        experiment: its tasks and consumers.
        interactions: all of them.
        holdout: entities which no alignment saw.
    """

    def __init__(
        self, experiment: Experiment, interactions: Interactions, holdout: Holdout
    ) -> None:
        self._experiment = experiment
        self._interactions = interactions
        self._slices = experiment.slices(interactions)
        self._holdout = holdout
        self._consumers: dict[tuple[str, int, str, str], Pipeline | None] = {}
        self._examples: dict[tuple[str, int, int], Examples] = {}

    def measure(self, method: Method, versions: Sequence[Version]) -> list[Row]:
        """All rows of the newest of these versions, which are all that there are, from 0."""
        newest = versions[-1]
        past, k = newest.past, newest.number
        vectors = _vectors(newest, past)
        window = self._slices[k]
        truth = first_purchases(self._interactions.between(window.end, window.test_end), past)
        rows = [
            Row(k, RECALL, recall(*vectors, truth, past.bought)),
            Row(k, VECTOR_BYTES, _bytes(vectors), k),
        ]
        if k:
            learned = 0 if method.backward == "truncation" else _numbers(newest)
            rows.append(Row(k, MAP_PARAMETERS, learned))
        for older in versions[:-1]:
            j = older.number
            native = _vectors(older, past)
            chains = _chains(versions[j + 1 :])
            served = chains[USERS].apply(vectors[0]), chains[ITEMS].apply(vectors[1])
            rows += self._alignment(older, past, served, native, k)
            rows.append(Row(k, VECTOR_BYTES, _bytes(native), j))
            for family, chain in chains.items():
                for name, value in zip((LARGEST, SMALLEST), singular_values(chain), strict=True):
                    rows.append(Row(k, name, value, j, family=family))
            if older.number in self._experiment.consumer_versions:
                rows += self._tasks(method, older, served, native, k)
        return rows

    def _alignment(
        self, older: Version, past: History, served: Pair, native: Pair, k: int
    ) -> list[Row]:
        known = (older.encoder.knows_users(past).numpy(), older.encoder.knows_items(past).numpy())
        ids = (past.user_ids.to_pylist(), past.item_ids.to_pylist())
        unseen = [
            some & self._holdout.contains(keys) for some, keys in zip(known, ids, strict=True)
        ]
        both = list(zip(served, native, known, unseen, strict=True))
        lengths = [np.linalg.norm(s[all_] - n[all_], axis=1) for s, n, all_, _ in both]
        relative = [_relative_error(s[all_], n[all_]) for s, n, all_, _ in both]
        held_out = [_relative_error(s[some], n[some]) for s, n, _, some in both]
        values = {
            ERROR: np.mean(np.concatenate(lengths)),
            RELATIVE: np.mean(relative),
            HELD_OUT: np.mean(held_out),
        }
        return [Row(k, name, float(value), older.number) for name, value in values.items()]

    def _tasks(
        self, method: Method, older: Version, served: Pair, native: Pair, k: int
    ) -> list[Row]:
        j, rows = older.number, []
        for name, kind in product(self._experiment.tasks, self._experiment.consumers):
            consumer = self._consumer(method, older, name, kind)
            asked = self._asked(name, j, k)
            judged = np.ones(len(asked.labels), bool) if asked.judged is None else asked.judged
            labels = asked.labels[judged]
            if consumer is None or not _both(labels):
                continue
            value, _ = delong(labels, _scores(consumer, asked.features(*served)[judged]))
            own, deviation = delong(labels, _scores(consumer, asked.features(*native)[judged]))
            rows.append(Row(k, AUROC, value, j, name, own, deviation, kind))
        return rows

    def _consumer(self, method: Method, version: Version, task: str, kind: str) -> Pipeline | None:
        """The consumer model born with a version; None where its window has but one label."""
        key = (method.encoder_of(version.number), version.number, task, kind)
        if key not in self._consumers:
            asked = self._asked(task, version.number, version.number)
            learned = np.ones(len(asked.labels), bool) if asked.judged is None else ~asked.judged
            labels = asked.labels[learned]
            features = asked.features(*_vectors(version, version.past))[learned]
            self._consumers[key] = train_consumer(features, labels, kind) if _both(labels) else None
        return self._consumers[key]

    def _asked(self, task: str, born: int, now: int) -> Examples:
        key = (task, born, now)
        if key not in self._examples:
            moment = Moment(self._interactions, self._slices[born], self._slices[now])
            self._examples[key] = TASKS[task](moment)
        return self._examples[key]


def _vectors(version: Version, past: History) -> Pair:
    return version.encoder.users(past).numpy(), version.encoder.items(past).numpy()


def _chains(newer: Sequence[Version]) -> Mapping[str, BackwardTransform]:
    """By family: the chain of these versions' transformations, newest first, folded."""
    return {f: compose([v.backward[f] for v in reversed(newer)]) for f in (USERS, ITEMS)}


def _relative_error(served: Vectors, native: Vectors) -> float:
    """||served - native||_F / ||native||_F; small for a constant too where vectors share a mean."""
    return float(np.linalg.norm(served - native) / np.linalg.norm(native))


def _bytes(vectors: Pair) -> int:
    return vectors[0].nbytes + vectors[1].nbytes


def _numbers(version: Version) -> int:
    """How many numbers the backward transformations of a version have."""
    maps = version.backward.values()
    return sum(m.weight.size + (0 if m.bias is None else m.bias.size) for m in maps)


def _scores(consumer: Pipeline, features: Vectors) -> np.ndarray:
    return np.asarray(consumer.predict_proba(features))[:, 1]


def _both(labels: Labels) -> bool:
    """Whether each label is there at least twice: what an AUROC and its deviation need."""
    return bool(min(labels.sum(), (~labels).sum()) >= 2)
