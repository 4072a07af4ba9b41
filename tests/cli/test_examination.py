"""What `feast-bc doctor` finds, each with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from feast import FeatureStore

from tests.support.families import at
from tests.support.team import Team


def examined(team: Team, repo: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Problems and notes by subject, and the exit code."""
    told, code = team.json("doctor", "--repo", str(repo))
    problems = {c["subject"]: c["problem"] for c in told["checks"] if c["problem"]}
    return problems, {c["subject"]: c["note"] for c in told["checks"] if c["note"]}, code


def test_a_sound_repo(team: Team) -> None:
    repo = team.apply()
    problems, notes, code = examined(team, repo)
    assert (problems, code) == ({}, 0)
    assert "users_v0, users_v1, users_v2: never materialized" in notes["users: online store"]
    assert "serve_features_while_materializing" in notes["feature_store.yaml"]
    FeatureStore(str(repo)).materialize(at(-1), at(24 * 90))
    assert "users: online store" not in examined(team, repo)[1]


def test_a_catalog_that_is_newer(team: Team) -> None:
    repo = team.apply()
    team.run("rollback", "users")
    problems, notes, code = examined(team, repo)
    assert (problems, code) == ({}, 0)
    assert "newer by 1 event(s): run `feast apply`" in notes["users: registry and catalog"]


def test_what_is_wrong_is_all_told_at_once(team: Team) -> None:
    repo = team.apply()
    (team.folder / "v0.parquet").unlink()
    table = pq.read_table(team.folder / "v1.parquet").drop_columns(["embedding"])
    pq.write_table(table, team.folder / "v1.parquet")
    config = json.loads((repo / "feature_store.yaml").read_text())
    config["provider"] = "local"
    (repo / "feature_store.yaml").write_text(json.dumps(config))
    event = Path(team.catalog.root, "users/events/000005.json")
    event.unlink()
    problems, _, code = examined(team, repo)
    assert code == 1
    assert "Set `provider: feast_bc.BackwardCompatibleProvider`" in problems["provider"]
    assert problems["users version 0: source users_v0_vectors"]
    assert "no column embedding" in problems["users version 1: source users_v1_vectors"]
    assert "older than the registry" in problems["users: registry and catalog"]


def test_no_repo_at_all(team: Team, tmp_path: Path) -> None:
    problems, _, code = examined(team, tmp_path)
    assert (code, list(problems)) == (1, ["feature_store.yaml"])
