"""A feature repo from nothing, or beside what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from feast import FeatureStore

from tests.support.pages import without_training
from tests.support.team import Team

EXISTING = """\
project: shop  # ours
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store: {type: duckdb}
entity_key_serialization_version: 3
"""


def apply(repo: Path, catalog: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("feast"), "apply"],
        cwd=repo,
        env={**os.environ, "FEAST_BC_CATALOG": catalog, "PYTHONPATH": without_training()},
        capture_output=True,
        text=True,
        check=False,
    )


def views(repo: Path) -> set[str]:
    return {view.name for view in FeatureStore(str(repo)).list_feature_views()}


def test_it_applies_before_anything_is_published(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = team.folder / "new"
    monkeypatch.chdir(team.folder)
    told, code = team.json("init", "new", "--embedding", "users")
    assert (code, len(told["written"])) == (0, 2)
    assert "publish users 0 --vectors PATH --join-key user_id" in told["next"]
    applied = apply(repo, team.catalog.root)
    assert applied.returncode == 0, applied.stderr
    assert views(repo) == set()
    team.publish(0)
    apply(repo, team.catalog.root)
    assert views(repo) == {"users_v0"}

    # The catalog is lost: an empty family must not take the views away.
    refused = apply(repo, str(team.folder / "another"))
    assert refused.returncode
    assert "FEAST_BC_ACCEPT_HISTORY=users@none" in refused.stdout + refused.stderr
    assert views(repo) == {"users_v0"}
    monkeypatch.setenv("FEAST_BC_ACCEPT_HISTORY", "users@none")
    apply(repo, str(team.folder / "another"))
    assert views(repo) == set()


def test_beside_what_is_there(team: Team, tmp_path: Path) -> None:
    repo = tmp_path / "shop"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(EXISTING)
    refused = team.run("init", str(repo))
    assert (refused.exit_code, "--from-existing" in refused.stderr) == (1, True)
    assert team.run("init", str(repo), "--from-existing").exit_code == 0
    assert (repo / "feature_store.yaml").read_text() == EXISTING.replace(
        "provider: local", "provider: feast_bc.BackwardCompatibleProvider"
    )
    again = team.run("init", str(repo), "--from-existing")
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
    (repo / "embeddings.py").unlink()
    told, code = team.json("init", str(repo), "--from-existing")
    assert (code, told["written"]) == (0, [str(repo / "embeddings.py")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the folder of a feature repo"),
        ("project: shop\n", "expected one line `provider: ...`, found 0"),
        (
            "provider: feast.infra.passthrough_provider.PassthroughProvider\n",
            "cannot take its place",
        ),
    ],
)
def test_a_repo_that_cannot_be_added_to(
    team: Team, tmp_path: Path, content: str | None, message: str
) -> None:
    repo = tmp_path / "shop"
    if content is not None:
        repo.mkdir()
        (repo / "feature_store.yaml").write_text(content)
    refused = team.run("init", str(repo), "--from-existing")
    assert refused.exit_code == 1
    assert re.search(re.escape(message), refused.stderr)
    assert not (repo / "embeddings.py").exists()


@pytest.mark.parametrize("arguments", [["--embedding", "1st"], ["--embedding", "user"]])
def test_names_that_python_does_not_take(team: Team, arguments: list[str]) -> None:
    assert team.run("init", str(team.folder / "new"), *arguments).exit_code == 2
