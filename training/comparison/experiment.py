"""One experiment: its data, its versions, and the settings that were tuned for it, from YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from training.encoders.recipe import Recipe
from training.encoders.schedule import Schedule
from training.interactions.interactions import Interactions, load
from training.interactions.slices import Slice, slice_by_count


@dataclass(frozen=True)
class Experiment:
    """What a YAML file of `training/experiments/` says.

    Attributes:
        name: of the experiment; its results go to `runs/<name>`.
        data: the file of interactions; None for the bundled sample, "given" where the path is
            an option of the command because the set is not part of the project.
        columns: the file's column names by role: user, item, timestamp, rating.
        items: the file of item attributes (category, brand, price), for the tasks that ask for
            them; "given" as with `data`.
        quantiles: the share of interactions at the end of each version's slice and, last, at the
            end of the newest version's test window (the paper's: 0.5, 0.6, ..., 1.0).
        validation: the share of interactions in v0's validation window.
        dims: D_k per version; one fewer than quantiles.
        half_life_days: of a purchase's weight.
        encoder: the kind of model: `fold_in`, `graphsage`, `lightgcn` or `matrix_factorisation`.
        encoder_options: of the three that rank pairs, see `PairOptions`.
        ridge, damping: of `fold_in`, see `Readout`.
        schedule: fields of `Schedule`; `seed` is the runs' own.
        methods: by name, see `training.versions.methods`.
        tasks: by name, see `training.tasks.unintended_tasks`.
        consumers: the kinds of consumer model, by name, see `training.tasks.consumer`.
        consumer_versions: the versions j that have consumers of their own: version 0 of every
            kind, the others of the first kind.
        seeds: how many.
    """

    name: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    data: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    items: str | None = None
    quantiles: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    validation: float = 0.05
    dims: tuple[int, ...] = (32, 40, 48, 56, 64)
    half_life_days: float = 60
    encoder: str = "fold_in"
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    ridge: float = 0.1
    damping: float = 0.25
    schedule: Mapping[str, Any] = field(default_factory=dict)
    consumers: tuple[str, ...] = ("logistic",)
    consumer_versions: tuple[int, ...] = (0, 1, 2)
    seeds: int = 3

    def __post_init__(self) -> None:
        if len(self.dims) != len(self.quantiles) - 1:
            raise ValueError(
                f"Experiment {self.name}: {len(self.quantiles)} quantiles make "
                f"{len(self.quantiles) - 1} versions, but there are {len(self.dims)} dims."
            )
        if self.quantiles[-1] != 1.0:
            raise ValueError(f"Experiment {self.name}: the last quantile must be 1.0.")

    def interactions(
        self, given: Path | None = None, given_items: Path | None = None
    ) -> Interactions:
        """Load the data; `given` are the paths of sets that are not part of the project."""
        path = self._path("data", self.data, given)
        found = load(**self.columns) if path is None else load(path, **self.columns)
        attributes = self._path("items", self.items, given_items)
        return found if attributes is None else found.with_attributes(attributes)

    def _path(self, key: str, said: str | None, given: Path | None) -> Path | None:
        if said != "given":
            return None if said is None else Path(said)
        if given is None:
            raise ValueError(
                f"The {key} of experiment {self.name} are not part of the project; "
                f"name their file with --{key} or FEAST_BC_{key.upper()}."
            )
        return given

    def slices(self, interactions: Interactions) -> list[Slice]:
        """One per version."""
        instants = interactions.purchases().timestamp
        return slice_by_count(instants, self.quantiles[:-1], validation=self.validation)

    def training(self, seed: int) -> Schedule:
        """The schedule of one seed."""
        return Schedule(**self.schedule, seed=seed)

    def recipe(self) -> Recipe:
        """How its encoders are made.

        Raises:
            ValueError: no encoder of that name, or none with these options.
        """
        options = dict(self.encoder_options)
        if self.encoder == "fold_in":
            # Its readout hides purchases as the training does.
            own = {"masked": self.training(0).masked, "ridge": self.ridge, "damping": self.damping}
            options = {**own, **options}
        return Recipe.of(self.encoder, options)

    def digest(self) -> str:
        """Of everything that changes a result; not of how many seeds and methods are run."""
        said = {k: v for k, v in asdict(self).items() if k not in ("methods", "seeds")}
        if self.encoder == "fold_in" and not self.encoder_options:
            del said["encoder"], said["encoder_options"]  # runs from before there was a choice
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_experiment(path: Path) -> Experiment:
    """Read and check a YAML file.

    Raises:
        ValueError: a key that does not exist, or a value that does not fit.
    """
    said = yaml.safe_load(path.read_text())
    known = {f.name for f in fields(Experiment)}
    if not isinstance(said, dict) or not {"methods", "tasks"} <= set(said) <= known:
        found = ", ".join(map(str, said)) if isinstance(said, dict) else repr(said)
        raise ValueError(
            f"{path}: expected methods, tasks and any of {', '.join(sorted(known))}; found {found}."
        )
    tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    return Experiment(**{"name": path.stem, **tuples})
