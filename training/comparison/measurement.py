"""What a method's newest version is worth: to its own team, and to consumers of older ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from sklearn.pipeline import Pipeline

from feast_bc.publishing.centred_error import centred_error
from feast_bc.publishing.geometry import singular_values
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms.holdout import Holdout
from training.comparison.consumer_models import ConsumerModels, both, judged_rows, scores
from training.comparison.experiment import Experiment
from training.comparison.resamples import Resamples
from training.comparison.row import (
    ASYMMETRIC,
    AUROC,
    BACKFILL,
    CENTRED,
    CENTRED_HELD_OUT,
    ERROR,
    FAMILY_ERROR,
    FROZEN,
    LARGEST,
    MAP_PARAMETERS,
    PROBE,
    RECALL,
    RETRAINED,
    SMALLEST,
    TEST_USERS,
    VALIDATION_USERS,
    VECTOR_BYTES,
    Row,
)
from training.encoders.encoder import ITEMS, USERS
from training.interactions.history import History, history
from training.interactions.interactions import Interactions
from training.tasks.auroc import delong, paired_delong
from training.tasks.consumer import Vectors
from training.tasks.examples import Examples
from training.tasks.recall import first_purchases, recall, recall_shares
from training.versions.alignment import Pair, chains_of, vectors_of
from training.versions.methods import FIX_M0, NO_BC, Method
from training.versions.version import Version

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The shares of entities on the newest version, of the backfill curve."""


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
        self._models = ConsumerModels(interactions, self._slices)
        self._resamples = Resamples(len(interactions.user_ids), len(interactions.item_ids))

    def measure(self, method: Method, versions: Sequence[Version]) -> list[Row]:
        """All rows of the newest of these versions, which are all that there are, from 0."""
        newest = versions[-1]
        past, k = newest.past, newest.number
        vectors = vectors_of(newest, past)
        window = self._slices[k]
        truth = first_purchases(self._interactions.between(window.end, window.test_end), past)
        users, items = vectors
        asked, shares = recall_shares(lambda some: users[some] @ items.T, truth, past.bought)
        value = float(np.mean(shares)) if len(shares) else float("nan")
        rows = [
            Row(k, RECALL, value, resampled=self._resamples.means(asked, shares)),
            Row(k, TEST_USERS, len(asked)),
            Row(k, VECTOR_BYTES, _bytes(vectors), k),
        ]
        if k:
            learned = 0 if method.backward == "truncation" else _numbers(newest)
            rows.append(Row(k, MAP_PARAMETERS, learned))
        else:
            rows.append(Row(k, VALIDATION_USERS, self._validation_users()))
        for older in versions[:-1]:
            j = older.number
            native = vectors_of(older, past)
            chains = chains_of(versions[j + 1 :])
            served = chains[USERS].apply(vectors[0]), chains[ITEMS].apply(vectors[1])
            rows += self._alignment(older, past, served, native, k)
            rows.append(Row(k, VECTOR_BYTES, _bytes(native), j))
            for family, chain in chains.items():
                values = singular_values(chain) or ()
                for name, one in zip((LARGEST, SMALLEST), values, strict=False):
                    rows.append(Row(k, name, one, j, family=family))
            if older.number in self._experiment.consumer_versions:
                rows += self._tasks(method, older, served, native, k)
            if j == 0:
                mixed = recall(served[0], native[1], truth, past.bought)
                rows.append(Row(k, ASYMMETRIC, mixed, 0))
                rows += self._references(method, versions, served)
        return rows

    def _validation_users(self) -> int:
        first = self._slices[0]
        past = history(self._interactions, first.validation_start)
        truth = first_purchases(self._interactions.between(first.validation_start, first.end), past)
        return int((truth.getnnz(axis=1) > 0).sum())

    def _alignment(
        self, older: Version, past: History, served: Pair, native: Pair, k: int
    ) -> list[Row]:
        j, rows, lengths = older.number, [], []
        on_all, on_held_out = [], []
        known = (older.encoder.knows_users(past).numpy(), older.encoder.knows_items(past).numpy())
        ids = (past.user_ids.to_pylist(), past.item_ids.to_pylist())
        for family, s, n, some, keys in zip(
            (USERS, ITEMS), served, native, known, ids, strict=True
        ):
            held_out = self._holdout.contains(keys)
            unseen = some & held_out
            lengths.append(np.linalg.norm(s[some] - n[some], axis=1))
            on_all.append(centred_error(s[some], n[some]))
            on_held_out.append(centred_error(s[unseen], n[unseen]))
            if j == 0:
                report = probe_suite(n[some], s[some], judged=held_out[some])
                rows += [
                    Row(k, PROBE, kept, 0, consumer=kind, family=family)
                    for kind, kept in report.by_kind.items()
                ]
                if on_held_out[-1] is not None:
                    rows.append(Row(k, FAMILY_ERROR, on_held_out[-1], 0, family=family))
        rows.append(Row(k, ERROR, float(np.mean(np.concatenate(lengths))), j))
        for name, of_families in ((CENTRED, on_all), (CENTRED_HELD_OUT, on_held_out)):
            values = [value for value in of_families if value is not None]
            if len(values) == len(of_families):
                rows.append(Row(k, name, float(np.mean(values)), j))
        return rows

    def _kinds(self, j: int) -> Sequence[str]:
        """The kinds of consumers of version j: all of version 0, the first one of the others."""
        return self._experiment.consumers[: None if j == 0 else 1]

    def _tasks(
        self, method: Method, older: Version, served: Pair, native: Pair, k: int
    ) -> list[Row]:
        j, rows = older.number, []
        for name, kind in product(self._experiment.tasks, self._kinds(j)):
            consumer = self._models.born(method, older, name, kind)
            asked = self._models.asked(name, j, k)
            judged = judged_rows(asked)
            labels = asked.labels[judged]
            if consumer is None or not both(labels):
                continue
            own = scores(consumer, asked.features(*native)[judged])
            given = scores(consumer, asked.features(*served)[judged])
            native_auroc, deviation = delong(labels, own)
            row = Row(
                k,
                AUROC,
                delong(labels, given)[0],
                j,
                name,
                native_auroc,
                deviation,
                kind,
                _family(asked),
                difference=paired_delong(labels, given, own),
                resampled=self._resamples.aurocs(asked, judged, given) if j == 0 else None,
                resampled_native=self._resamples.aurocs(asked, judged, own) if j == 0 else None,
            )
            rows.append(row)
        return rows

    def _references(self, method: Method, versions: Sequence[Version], served: Pair) -> list[Row]:
        """What version 0's consumers are compared with, and the backfill curve at the end."""
        oldest, newest, rows = versions[0], versions[-1], []
        past, k = newest.past, newest.number
        if method == FIX_M0:
            rows += self._consumers_on(_frozen(oldest, past), FROZEN, method, oldest, k)
        if method == NO_BC:
            rows += self._retrained(versions)
        if k == len(self._slices) - 1:
            before = _served_before(versions)
            for share in SHARES:
                mixed = _backfilled(before, served, past, share)
                rows += self._consumers_on(mixed, BACKFILL, method, oldest, k, share)
        return rows

    def _consumers_on(
        self,
        vectors: Pair,
        measure: str,
        method: Method,
        oldest: Version,
        k: int,
        share: float | None = None,
    ) -> list[Row]:
        """Version 0's consumers on any vectors of today's entities."""
        rows = []
        for name, kind in product(self._experiment.tasks, self._experiment.consumers):
            model, asked = (
                self._models.born(method, oldest, name, kind),
                self._models.asked(name, 0, k),
            )
            value = _auroc(model, asked, vectors)
            if value is not None:
                rows.append(Row(k, measure, value, 0, name, consumer=kind, share=share))
        return rows

    def _retrained(self, versions: Sequence[Version]) -> list[Row]:
        newest, before, rows = versions[-1], versions[-2], []
        k, vectors = newest.number, vectors_of(newest, newest.past)
        for name, kind in product(self._experiment.tasks, self._experiment.consumers):
            model = self._models.retrained(newest, before, name, kind)
            value = _auroc(model, self._models.asked(name, 0, k), vectors)
            if value is not None:
                rows.append(Row(k, RETRAINED, value, 0, name, consumer=kind))
        return rows


def _backfilled(before: Pair, served: Pair, past: History, share: float) -> Pair:
    """A `share` of entities as version k serves them, and all that version k-1 lacks."""
    mixed = []
    for old, new, ids in zip(before, served, (past.user_ids, past.item_ids), strict=True):
        there = np.ones(len(new), bool)
        if share == 0:
            there[: len(old)] = False
        elif share < 1:
            keys = ids.to_pylist()[: len(old)]
            there[: len(old)] = Holdout(share, "backfill").contains(keys)
        vectors = new.copy()
        vectors[~there] = old[~there[: len(old)]]
        mixed.append(vectors)
    return mixed[0], mixed[1]


def _frozen(oldest: Version, past: History) -> Pair:
    """Native version-0 vectors of version 0's own instant; later entities have their mean."""
    users, items = vectors_of(oldest, oldest.past)
    return _padded(users, len(past.user_ids)), _padded(items, len(past.item_ids))


def _padded(vectors: Vectors, count: int) -> Vectors:
    mean = np.tile(vectors.mean(axis=0), (count - len(vectors), 1))
    return np.concatenate([vectors, mean.astype(vectors.dtype)])


def _served_before(versions: Sequence[Version]) -> Pair:
    """What version k-1 last served as version 0, for the entities known then."""
    before = versions[-2]
    users, items = vectors_of(before, before.past)
    if before.number == 0:
        return users, items
    chains = chains_of(versions[1:-1])
    return chains[USERS].apply(users), chains[ITEMS].apply(items)


def _auroc(consumer: Pipeline | None, asked: Examples, vectors: Pair) -> float | None:
    judged = judged_rows(asked)
    labels = asked.labels[judged]
    if consumer is None or not both(labels):
        return None
    return delong(labels, scores(consumer, asked.features(*vectors)[judged]))[0]


def _family(asked: Examples) -> str | None:
    """What a task looks at; None for pairs."""
    if asked.item is None:
        return USERS
    return ITEMS if asked.user is None else None


def _bytes(vectors: Pair) -> int:
    return vectors[0].nbytes + vectors[1].nbytes


def _numbers(version: Version) -> int:
    """How many numbers the backward transformations of a version have."""
    maps = version.backward.values()
    return sum(m.weight.size + (0 if m.bias is None else m.bias.size) for m in maps)
