"""Run an experiment: every method of every seed, version by version, resuming what is there."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from feast_bc.transforms.holdout import Holdout
from training.comparison.experiment import Experiment
from training.comparison.measurement import Judge
from training.comparison.peak_rss import peak_rss
from training.comparison.row import PEAK_RSS, RECALL, SECONDS, Row
from training.comparison.run_files import Cost, Store
from training.interactions.history import History, history
from training.interactions.interactions import Interactions
from training.tasks.attribute_tasks import ATTRIBUTE_TASKS
from training.tasks.consumer import CONSUMERS
from training.tasks.recall import BASELINES, first_purchases, item_knn, most_popular, recall
from training.tasks.unintended_tasks import TASKS
from training.versions.methods import FIX_M0, METHODS, NO_BC, TWIN, Method
from training.versions.version import Version, train_version

SETTINGS = "experiment.json"
_SEEDS_APART = 1000  # version k's seed is the run's plus k: no two runs share one

Say = Callable[[str], None]


class Run:
    """One experiment on one data set.

    Args:
        experiment: what to do.
        interactions: its data.
        folder: takes everything; what it holds already is not done again.
        say: takes a line per stage.
        device: where encoders are trained, e.g. "cuda".
        bf16: whether they multiply in bfloat16; see `Schedule`.

    Raises:
        ValueError: the folder belongs to another experiment, or to other data; no task or
            consumer model of that name; a task asks for item attributes, and there are none.
    """

    def __init__(
        self,
        experiment: Experiment,
        interactions: Interactions,
        folder: Path,
        say: Say,
        *,
        device: str = "cpu",
        bf16: bool = False,
    ) -> None:
        self._experiment, self._interactions = experiment, interactions
        self._folder, self._say = folder, say
        self._device, self._bf16 = device, bf16
        check_known("task", experiment.tasks, TASKS)
        asked = {task.__name__ for task in ATTRIBUTE_TASKS} & set(experiment.tasks)
        if asked and interactions.attributes is None:
            raise ValueError(
                f"Task {min(asked)!r} asks for item attributes: name their file with `items` in "
                "the experiment."
            )
        check_known("consumer", experiment.consumers, CONSUMERS)
        self.holdout = Holdout()
        self._slices = experiment.slices(interactions)
        self._pasts = [
            history(interactions, one.end, half_life_days=experiment.half_life_days)
            for one in self._slices
        ]
        self._check_claim()

    def __call__(self, methods: Sequence[str], seeds: int) -> dict[tuple[int, str], list[Row]]:
        """All rows by seed and method; Fix-M0, NoBC and Twin always come along, as references.

        Raises:
            ValueError: no method of that name.
        """
        check_known("method", methods, METHODS)
        self._claim()
        names = [*dict.fromkeys([FIX_M0.name, NO_BC.name, TWIN.name, *methods])]
        found = {}
        total = seeds * len(names) * len(self._pasts)
        # None: only where somebody looks.
        with tqdm(total=total, unit=" versions", disable=None) as bar:
            for seed in range(seeds):
                judge = Judge(self._experiment, self._interactions, self.holdout)
                for name in names:
                    bar.set_description(f"seed {seed}, {name}")
                    found[seed, name] = self._method(METHODS[name], seed, judge, bar)
        return found

    def versions(self, name: str, seed: int) -> list[Version]:
        """The versions of a method, as a finished run left them.

        Raises:
            ValueError: no method of that name, or one of its versions is not there.
        """
        check_known("method", [name], METHODS)
        store, method = Store(self._folder, seed), METHODS[name]
        found: list[Version] = []
        for k, past in enumerate(self._pasts):
            version = self._stored(method, store, k, past)
            if version is None:
                raise ValueError(
                    f"{self._folder} has no version {k} of {name}, seed {seed}; run the experiment "
                    f"first: python -m training run ... --methods {name} --seeds {seed + 1}"
                )
            found.append(version)
        return found

    def baselines(self) -> dict[str, list[Row]]:
        """Recall@50 of the rankings that need no encoder."""
        found: dict[str, list[Row]] = {name: [] for name in BASELINES}
        for k, (past, window) in enumerate(zip(self._pasts, self._slices, strict=True)):
            later = self._interactions.between(window.end, window.test_end)
            truth = first_purchases(later, past)
            values = (
                recall(*most_popular(past.bought), truth, past.bought),
                recall(*most_popular(past.recency), truth, past.bought),
                item_knn(past.bought, truth),
            )
            for name, value in zip(BASELINES, values, strict=True):
                found[name].append(Row(k, RECALL, value))
        return found

    def _method(self, method: Method, seed: int, judge: Judge, bar: tqdm[Any]) -> list[Row]:
        store = Store(self._folder, seed)
        versions: list[Version] = []
        rows = []
        for k, past in enumerate(self._pasts):
            started = time.monotonic()
            versions.append(self._version(method, store, versions, past))
            found = store.rows(method.name, k)
            if found is None:
                found = judge.measure(method, versions) + _cost_rows(store, method, k)
                store.save_rows(method.name, k, found)
                self._say(
                    f"seed {seed}, {method.name}, v{k}: Recall@50 {found[0].value:.4f} "
                    f"({time.monotonic() - started:.0f} s)"
                )
            rows += found
            bar.update()
        return rows

    def _version(
        self, method: Method, store: Store, versions: Sequence[Version], past: History
    ) -> Version:
        k = len(versions)
        stored = self._stored(method, store, k, past)
        if stored is not None:
            return stored
        name, recipe = method.encoder_of(k), self._experiment.recipe()
        encoder = store.encoder(name, recipe)
        seed = store.seed * _SEEDS_APART + k
        schedule = replace(self._experiment.training(seed), device=self._device, bf16=self._bf16)
        started = time.perf_counter()
        version = train_version(
            method,
            versions,
            past,
            self._experiment.dims[k],
            schedule,
            self.holdout,
            recipe=recipe,
            trained=None if method.joint and k else encoder,
        )
        seconds = time.perf_counter() - started
        if encoder is not None and method.encoder == "fresh" and not method.joint:
            shared = store.cost(NO_BC.name, k)  # these methods map NoBC's model
            seconds += shared.seconds if shared else math.nan
        store.save_cost(method.name, k, Cost(seconds, peak_rss()))
        store.save_backward(method, k, version.backward)
        if encoder is None or method.joint:
            store.save_encoder(name, version.encoder)
        return version

    def _stored(self, method: Method, store: Store, k: int, past: History) -> Version | None:
        encoder = store.encoder(method.encoder_of(k), self._experiment.recipe())
        backward = store.backward(method, k)
        if encoder is None or backward is None:
            return None
        return Version(k, past, encoder, backward)

    def _owner(self) -> str:
        """Whose folder it is: digests of the settings and of the data."""
        data = hashlib.sha256()
        for values in (self._interactions.user, self._interactions.item):
            data.update(values.tobytes())
        data.update(self._interactions.timestamp.tobytes())
        if (attributes := self._interactions.attributes) is not None:
            data.update(repr([a.tolist() for a in vars(attributes).values()]).encode())
        return f"{self._experiment.digest()} {data.hexdigest()}\n"

    def _check_claim(self) -> None:
        path = self._folder / "claim.txt"
        if path.exists() and path.read_text() != self._owner():
            raise ValueError(
                f"{self._folder} holds another experiment, other settings or other data; "
                "name another folder with --folder, or delete it."
            )

    def _claim(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "claim.txt").write_text(self._owner())
        (self._folder / SETTINGS).write_text(json.dumps(asdict(self._experiment), indent=1))


def _cost_rows(store: Store, method: Method, k: int) -> list[Row]:
    """What version k took to train; nothing where a run of an older release trained it."""
    cost = store.cost(method.name if k else FIX_M0.name, k)  # who trained the common M_0
    if cost is None:
        return []
    return [Row(k, SECONDS, cost.seconds), Row(k, PEAK_RSS, cost.peak_rss)]


def check_known(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    """Refuse names that do not exist.

    Raises:
        ValueError: one of them is not among the known.
    """
    unknown = set(names) - set(known)
    if unknown:
        raise ValueError(f"No {kind} {min(unknown)!r}; there are {', '.join(known)}.")
