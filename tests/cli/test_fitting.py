"""`feast-bc fit`: two sets of vectors in, an artifact out that `publish` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feast_bc.transforms.artifact import load_artifact, save_artifact
from tests.support.links import mlp
from tests.support.team import LINKS, Team


def files(team: Team, old: int, new: int) -> tuple[str, str]:
    return str(team.folder / f"v{old}.parquet"), str(team.folder / f"v{new}.parquet")


def test_what_is_fitted_is_published(team: Team) -> None:
    out = str(team.folder / "fitted")
    told = team.run("fit", *files(team, 0, 1), "--out", out)
    assert told.exit_code == 0, told.stderr
    for words in (
        "Fitted 1 -> 0 on ",
        "held out",
        "% of what tells old vectors apart",
        "let it pass",
    ):
        assert words in told.stdout
    transform, manifest = load_artifact(out)
    affine = transform.as_affine()
    assert affine is not None
    np.testing.assert_allclose(affine.weight, LINKS[1].weight, atol=0.05)
    assert manifest.holdout is not None
    assert team.publish(0).exit_code == 0
    options = ["--vectors", files(team, 0, 1)[1], "--transform", out]
    assert team.run("publish", "users", "1", *options).exit_code == 0
    measured = team.catalog.version("users", 1).manifest.metrics["alignment"]["older"][0]
    assert measured["on_held_out"]["centred_error"] < 0.2
    again = team.run("fit", *files(team, 0, 1), "--out", out)
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)


def test_the_next_version_of_an_embedding(team: Team) -> None:
    team.publish(0)
    team.publish(1)
    out = str(team.folder / "fitted")
    found, code = team.json("fit", *files(team, 1, 2), "--out", out, "--embedding", "users")
    assert (code, found["version"], found["gate"]["passed"]) == (0, 2, True)
    assert found["fitted"] + found["held_out"] == 200
    assert f"publish users 2 --vectors {files(team, 1, 2)[1]} --transform {out}" in found["next"]
    assert load_artifact(out)[0].from_version == 2


def test_an_older_map_that_is_not_affine(team: Team) -> None:
    team.publish(0)
    save_artifact(mlp(1, 4, 3), team.folder / "curved")
    options = ["--vectors", files(team, 0, 1)[1], "--transform", str(team.folder / "curved")]
    forced = ["--force", "centred-error", "--force", "agreement"]
    assert team.run("publish", "users", "1", *options, *forced).exit_code == 0
    arguments = ["--out", str(team.folder / "fitted"), "--embedding", "users"]
    told = team.run("fit", *files(team, 1, 2), *arguments)
    assert (told.exit_code, "An older transformation is not affine" in told.stdout) == (0, True)


def test_vectors_that_no_map_relates_are_said_to_be_refused(team: Team) -> None:
    team.write(1, np.random.default_rng(9).normal(size=(200, 4)).astype(np.float32))
    told = team.run("fit", *files(team, 0, 1), "--out", str(team.folder / "fitted"))
    assert (told.exit_code, "The quality gate will refuse it: centred error" in told.stdout) == (
        0,
        True,
    )


def test_which_column_is_the_key(team: Team) -> None:
    for version in (0, 1):
        rewrite(team.folder / f"v{version}.parquet", country="x")
    refused = team.run("fit", *files(team, 0, 1), "--out", str(team.folder / "fitted"))
    assert "'NEW' has user_id, country beside" in refused.stderr
    assert "Name it with --join-key" in refused.stderr
    options = ["--out", str(team.folder / "fitted"), "--join-key", "user_id"]
    assert team.run("fit", *files(team, 0, 1), *options).exit_code == 0


def rewrite(path: Path, **columns: Any) -> None:
    frame = pd.read_parquet(path)
    for name, values in columns.items():
        frame[name] = values
    frame.to_parquet(path)


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"user_id": range(1000, 1200)}, [], "share no value of user_id; expected entities that"),
        ({"user_id": [f"u{i}" for i in range(200)]}, [], "'user_id' is text in source 'NEW' and"),
        ({}, ["--join-key", "country"], "source 'NEW': column(s) country missing"),
        ({"embedding": None}, [], "column 'embedding'"),
        ({}, ["--feature", "vector"], "Source 'NEW': column(s) vector missing"),
        ({}, ["--timestamp-field", "at"], "Source 'NEW': column(s) at missing"),
    ],
)
def test_what_cannot_be_fitted(
    team: Team, columns: dict[str, object], arguments: list[str], message: str
) -> None:
    rewrite(team.folder / "v1.parquet", **columns)
    out = team.folder / "fitted"
    refused = team.run("fit", *files(team, 0, 1), "--out", str(out), *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert message in refused.stderr
    assert not out.exists()


def test_vectors_of_two_lengths_and_a_file_that_is_missing(team: Team) -> None:
    rewrite(team.folder / "v1.parquet", embedding=[[0.5] * (2 + i % 2) for i in range(200)])
    refused = team.run("fit", *files(team, 0, 1), "--out", str(team.folder / "fitted"))
    assert "source 'NEW'" in refused.stderr
    assert "expected vectors of dimension 2, found 3" in refused.stderr
    refused = team.run("fit", "missing.parquet", *files(team, 0, 1)[1:], "--out", "fitted")
    assert (refused.exit_code, "source 'OLD'" in refused.stderr) == (1, True)
