"""A consumer team: labels of its own, a check, a frozen model, and an embedding team beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from safetensors.numpy import save_file

from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from tests.support.presence import there
from tests.support.team import LINKS, Team

WEIGHT = np.array([1.0, -2.0, 0.5], np.float32)
CHECK = """
import numpy as np
import pandas as pd

labels = pd.read_parquet({labels!r}).set_index("user_id")["churned"]


def scores(entities, vectors):
    return vectors @ np.array([1.0, -2.0, 0.5])


def right(entities, vectors):
    assert entities["user_id"].dtype == "int64"
    known = labels.reindex(entities["user_id"]).to_numpy()
    return (scores(entities, vectors) > {threshold}) == known.astype(bool)


def evaluate(entities, vectors):
    return right(entities, vectors).mean()


def half(entities, vectors):
    return np.where(entities["user_id"] % 2, right(entities, vectors), np.nan)


def few(entities, vectors):
    return np.where(entities["user_id"] < 49, 1.0, np.nan)


def spoils(entities, vectors):
    vectors[:] = 0
    entities.drop(columns="user_id", inplace=True)
    return np.ones(len(vectors))


def fails(entities, vectors):
    raise KeyError("no such {escape}[31mcolumn")


def leaves(entities, vectors):
    raise SystemExit(0)


def too_long(entities, vectors):
    return np.ones(len(vectors) + 1)


def infinite(entities, vectors):
    return np.inf


def nothing(entities, vectors):
    return None


def nan(entities, vectors):
    return float("nan")


def forgetful(entities, vectors):
    return np.where(vectors[:, 0] > vectors[:, 0].mean(), 1.0, np.nan)


def wrong_names(entities, rows):
    return 1.0


constant = 1.0
"""


class ConsumerTeam:
    """A consumer of users_v0 beside a team that has published three versions.

    Attributes:
        threshold: the score above which it takes a user for one that goes.
        folder: has `labels.parquet`, `churn.safetensors` and a module `MODULE`.body.
        team: the embedding team.
    """

    MODULE = "churn_check"

    def __init__(self, folder: Path, team: Team) -> None:
        self.folder = folder
        self.team = team
        v0 = np.stack(pd.read_parquet(team.folder / "v0.parquet")["embedding"].to_list())
        noise = 0.3 * np.random.default_rng(0).normal(size=len(v0))
        users = np.arange(len(v0))
        self.threshold = float(np.median(v0 @ WEIGHT))
        self.labels = pd.DataFrame(
            {
                "user_id": users,
                "churned": v0 @ WEIGHT + noise > self.threshold,
                "country": np.where(users % 2, "CH", "AT"),
                "spent": v0 @ WEIGHT,
                "name": "secret",
            }
        )
        self.labels.to_parquet(folder / "labels.parquet")
        save_file({"weight": WEIGHT}, folder / "churn.safetensors")
        text = CHECK.format(
            labels=str(folder / "labels.parquet"), threshold=self.threshold, escape="\\x1b"
        )
        (folder / f"{self.MODULE}.py").write_text(text)

    def add(self, consumer: str, *options: str, version: int = 0) -> Result:
        named = ["--version", str(version), "--consumer", consumer]
        return self.team.run("contract", "add", "users", *named, "--tolerance", "0.1", *options)

    def add_check(self, function: str, *options: str, consumer: str = "churn_model") -> Result:
        return self.add(consumer, "--check", f"{self.MODULE}:{function}", *options)

    def add_model(self, *options: str, metric: str = "auc", consumer: str = "risk") -> Result:
        sample = ["--sample", str(self.folder / "labels.parquet"), "--label", "churned"]
        model = ["--model", str(self.folder / "churn.safetensors"), "--metric", metric]
        return self.add(consumer, *model, *sample, *options)

    def gate(self, version: int = 2) -> list[dict[str, Any]]:
        """What the activation event of a version keeps of contracts."""
        event = self.team.catalog.version("users", version).events[-1]
        assert event.gate is not None
        found: list[dict[str, Any]] = event.gate["contracts"]
        return found

    def publish_wrong(self, fraction: float = 0.2) -> None:
        """Version 2 anew, with the map of `save_wrong`."""
        artifact = self.save_wrong(fraction)
        assert self.team.run("withdraw", "users", "2").exit_code == 0
        options = ["--vectors", str(self.team.folder / "v2.parquet"), "--transform", artifact]
        forced = ["--force", "agreement", "--max-centred-error", "0.99"]
        assert self.team.run("publish", "users", "2", *options, *forced).exit_code == 0

    def save_wrong(self, fraction: float = 0.2) -> str:
        """The artifact of a map that the gate may take and that is wrong for the churn model.

        It loses the direction of v_1 that the model of v_0 looks at.

        Args:
            fraction: the share of entities that its fit has not seen.
        """
        direction = LINKS[1].weight.T @ WEIGHT
        direction /= np.linalg.norm(direction)
        blind = np.eye(4) - np.outer(direction, direction)
        wrong = AffineTransform(
            blind @ LINKS[2].weight, blind @ there(LINKS[2].bias), from_version=2, to_version=1
        )
        save_artifact(wrong, self.folder / "wrong", holdout=Holdout(fraction))
        return str(self.folder / "wrong")


def consumer_team(published: Team, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ConsumerTeam:
    """A consumer team whose catalog is a copy of one that was published."""
    team = Team.__new__(Team)
    team.folder = published.folder
    shutil.copytree(published.catalog.root, folder / "catalog")
    team.catalog = type(published.catalog)(folder / "catalog")
    found = ConsumerTeam(folder, team)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(__import__("sys").modules, ConsumerTeam.MODULE, raising=False)
    return found
