"""What consumers of v0 lose under each way to make the maps, on the models of a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sklearn.pipeline import Pipeline

from feast_bc.alignment import Consumer
from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.posthoc import centred_error
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms import AffineTransform, compose
from feast_bc.transforms.holdout import Holdout
from training.comparison.experiment import Experiment
from training.encoders.encoder import ITEMS, USERS
from training.interactions.interactions import Interactions
from training.maps.distilled import decision, distilled
from training.maps.fits import FITS, Pairs, anchored
from training.maps.local_map import LocalMap
from training.tasks.auroc import delong
from training.tasks.consumer import train_consumer
from training.tasks.examples import Moment
from training.tasks.unintended_tasks import TASKS
from training.versions.alignment import encode, knows
from training.versions.version import Version

FAMILIES = (USERS, ITEMS)
SAMPLE = 2_000
"""How many entities a version's sealed sample has."""
CLUSTERS = 8
"""Of the local maps."""

Served = Mapping[str, Matrix]
"""By family."""

MORE = (
    "anchored (models alive)",
    "anchored (sealed samples)",
    "straight (models alive)",
    "straight (sealed samples)",
    "local straight (models alive)",
    "local straight (sealed samples)",
    "local hops",
    "consumers distilled",
    "unchanged kept",
)
"""The ways beside `FITS`."""


@dataclass(frozen=True)
class Outcome:
    """Of one way: chains k -> 0 of one seed.

    Attributes:
        way: its name.
        version: k.
        errors: by family, `centred_error` on held-out entities.
        probes: by family, the smallest share of their skill that a kind of probe consumer keeps.
        losses: by kind of consumer and task, (A - N) / N: A is the AUROC on served vectors, N that
            on native ones.
    """

    way: str
    version: int
    errors: Mapping[str, float]
    probes: Mapping[str, float]
    losses: Mapping[tuple[str, str], float]


@dataclass
class Trial:
    """The models of one seed, and the consumers of their version 0.

    Args:
        experiment: its tasks.
        interactions: its data.
        versions: the trained versions; their own maps are not looked at.
        holdout: entities that no fit sees.
        consumers: the kinds, by name.
    """

    experiment: Experiment
    interactions: Interactions
    versions: Sequence[Version]
    holdout: Holdout
    consumers: Sequence[str]
    _models: dict[tuple[str, str], Pipeline | None] = field(default_factory=dict)
    _encoded: dict[tuple[int, int, str], Matrix] = field(default_factory=dict)

    def outcomes(self, ways: Sequence[str]) -> Iterator[Outcome]:
        """Those of the newest version, and of version 4 if there are more."""
        newest = len(self.versions) - 1
        for way in ways:
            hops = self._hops(way)
            for k in sorted({min(4, newest), newest}):
                served = {family: self._served(way, hops, k, family) for family in FAMILIES}
                yield self._judge(way, k, served)

    def vectors(self, model: int, at: int, family: str) -> Matrix:
        """What a model says of the entities known at the instant of another version."""
        key = (model, at, family)
        if key not in self._encoded:
            encoder, past = self.versions[model].encoder, self.versions[at].past
            self._encoded[key] = encode(encoder, family, past).numpy()
        return self._encoded[key]

    def known(self, model: int, at: int, family: str) -> Mask:
        """Whom a model knows then."""
        found: Mask = knows(self.versions[model].encoder, family, self.versions[at].past).numpy()
        return found

    def unseen(self, at: int, family: str) -> Mask:
        past = self.versions[at].past
        ids = past.user_ids if family == USERS else past.item_ids
        return self.holdout.contains(ids.to_pylist())

    def _hops(self, way: str) -> dict[tuple[str, int], AffineTransform]:
        """B_1, ..., B_K of each family."""
        hops: dict[tuple[str, int], AffineTransform] = {}
        for family in FAMILIES:
            for k in range(1, len(self.versions)):
                if way.startswith("anchored"):
                    older = [hops[family, m] for m in range(k - 1, 0, -1)]
                    sealed = "sealed" in way
                    pairs = {j: self._pairs(k, j, family, sealed=sealed) for j in range(k)}
                    hops[family, k] = anchored(pairs, older, k)
                    continue
                if way == "local hops":
                    continue
                known = self.known(k - 1, k, family)
                pair = Pairs(
                    k,
                    self.vectors(k, k, family),
                    self.vectors(k - 1, k, family),
                    known,
                    known & self.unseen(k, family),
                )
                hops[family, k] = FITS.get(way, FITS["least squares"])(pair)
                if way == "consumers distilled" and family == USERS and self._decisions:
                    older = [hops[family, m] for m in range(k - 1, 0, -1)]
                    hops[family, k] = distilled(pair, older, self._decisions, weight=1.0)
        return hops

    def _pairs(self, k: int, j: int, family: str, *, sealed: bool) -> tuple[Matrix, Matrix]:
        """z_k and z_j: of today's entities, or of the sample and the inputs of version j's time.

        Version k-1 is alive: the run that makes version k needs it.
        """
        at = j if sealed and j < k - 1 else k
        rows = np.flatnonzero(self.known(j, at, family) & ~self.unseen(at, family))
        if at == j:
            rows = np.random.default_rng(0).permutation(rows)[:SAMPLE]
        return self.vectors(k, at, family)[rows], self.vectors(j, at, family)[rows]

    def _served(
        self, way: str, hops: Mapping[tuple[str, int], AffineTransform], k: int, family: str
    ) -> Matrix:
        """What view 0 has at the time of version k."""
        vectors = self.vectors(k, k, family)
        if way == "local hops":
            for m in range(k, 0, -1):
                new, old = self._pairs(m, m - 1, family, sealed=False)
                vectors = LocalMap.fit(new, old, clusters=CLUSTERS).apply(vectors)
            return vectors
        if "straight" in way:
            new, old = self._pairs(k, 0, family, sealed="sealed" in way)
            if way.startswith("local"):
                return LocalMap.fit(new, old, clusters=CLUSTERS).apply(vectors)
            pair = Pairs(1, new, old, np.ones(len(new), bool), np.zeros(len(new), bool))
            return pair.least_squares().apply(vectors)
        served = compose([hops[family, m] for m in range(k, 0, -1)]).apply(vectors)
        if way != "unchanged kept" or family != USERS:
            return served
        # The newest model that encoded the user's present purchases; of several the oldest.
        for i in range(k - 1, -1, -1):
            same = self._same_purchases(i, k) & self.known(i, i, family)
            own = self.vectors(i, i, family)[same]
            chain = [hops[family, m] for m in range(i, 0, -1)]
            served[: len(same)][same] = compose(chain).apply(own) if chain else own
        return served

    def _same_purchases(self, before: int, now: int) -> Mask:
        """Which users of an earlier version have bought nothing new since."""
        old, new = (np.diff(self.versions[v].past.bought.indptr) for v in (before, now))
        same: Mask = old == new[: len(old)]
        return same

    def _judge(self, way: str, k: int, served: Served) -> Outcome:
        errors, probes = {}, {}
        for family in FAMILIES:
            native, known = self.vectors(0, k, family), self.known(0, k, family)
            unseen = known & self.unseen(k, family)
            errors[family] = centred_error(served[family][unseen], native[unseen]) or 0.0
            report = probe_suite(native[known], served[family][known], judged=unseen[known])
            probes[family] = np.nan if report.agreement is None else report.agreement
        return Outcome(way, k, errors, probes, dict(self._losses(k, served)))

    def _losses(self, k: int, served: Served) -> Iterator[tuple[tuple[str, str], float]]:
        slices = self.experiment.slices(self.interactions)
        for task in self.experiment.tasks:
            asked = TASKS[task](Moment(self.interactions, slices[0], slices[k]))
            judged = np.ones(len(asked.labels), bool) if asked.judged is None else asked.judged
            labels = asked.labels[judged]
            for kind in self.consumers:
                model = self._model(task, kind)
                if model is None or labels.all() or not labels.any():
                    continue
                found = []
                for vectors in (served, {f: self.vectors(0, k, f) for f in FAMILIES}):
                    features = asked.features(vectors[USERS], vectors[ITEMS])[judged]
                    found.append(delong(labels, model.predict_proba(features)[:, 1])[0])
                yield (kind, task), (found[0] - found[1]) / found[1]

    @cached_property
    def _decisions(self) -> list[Consumer]:
        """What perceptrons of the tasks about users say."""
        first = self.experiment.slices(self.interactions)[0]
        asked = {
            t: TASKS[t](Moment(self.interactions, first, first)) for t in self.experiment.tasks
        }
        models = [self._model(t, "mlp") for t, a in asked.items() if a.item is None]
        return [decision(model) for model in models if model is not None]

    def _model(self, task: str, kind: str) -> Pipeline | None:
        """The consumer that version 0's team trained; None where its labels are all alike."""
        if (task, kind) not in self._models:
            born = self.experiment.slices(self.interactions)[0]
            asked = TASKS[task](Moment(self.interactions, born, born))
            learned = np.ones(len(asked.labels), bool) if asked.judged is None else ~asked.judged
            labels = asked.labels[learned]
            features = asked.features(*(self.vectors(0, 0, f) for f in FAMILIES))[learned]
            both = labels.any() and not labels.all()
            self._models[task, kind] = train_consumer(features, labels, kind) if both else None
        return self._models[task, kind]


def table(outcomes: Sequence[Outcome], consumers: Sequence[str]) -> str:
    """Means over seeds as a Markdown table; losses in percent, also over tasks."""
    lines = [
        "| k | map | error, users | error, items | probes, users | probes, items | "
        + " | ".join(consumers)
        + " |",
        "|--:|---|" + "--:|" * (4 + len(consumers)),
    ]
    for k in sorted({each.version for each in outcomes}):
        for way in dict.fromkeys(each.way for each in outcomes):
            own = [each for each in outcomes if (each.way, each.version) == (way, k)]
            if not own:
                continue
            cells = [f"{np.mean([each.errors[f] for each in own]):.3f}" for f in FAMILIES]
            cells += [f"{np.mean([each.probes[f] for each in own]):.2f}" for f in FAMILIES]
            for kind in consumers:
                found = [v for each in own for (of, _), v in each.losses.items() if of == kind]
                cells.append(f"{100 * np.mean(found):+.2f}" if found else "-")
            lines.append(f"| {k} | {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
