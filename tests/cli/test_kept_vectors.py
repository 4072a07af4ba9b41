"""What `feast-bc rollback --repo` says of views that are served on read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feast import FeatureStore

from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER
from tests.support.team import Team

START = "2026-02-01T00:00:00+00:00"


def applied(team: Team, serving: Serving, rollbacks: int) -> Path:
    """A repo with the team's three versions, of which the last two are active."""
    team.publish_all()
    for version in ("1", "2"):
        assert team.run("activate", "users", version, "--from", START).exit_code == 0
    repo = team.folder / "repo"
    repo.mkdir()
    config = {
        "project": "test",
        "provider": "feast_bc.BackwardCompatibleProvider",
        "registry": str(repo / "registry.db"),
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": str(repo / "online.db")},
        "entity_key_serialization_version": 3,
    }
    (repo / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    embedding = VersionedEmbedding.from_catalog(
        team.catalog, "users", entities=[USER], serving=serving, rollback_versions=rollbacks
    )
    FeatureStore(str(repo)).apply([USER, *embedding.feature_views().values()])
    return repo


def test_the_views_that_have_to_be_materialized(team: Team) -> None:
    repo = str(applied(team, "on_read", 1))
    within, code = team.json("rollback", "users", "--repo", repo)
    assert (code, within["to_materialize"]) == (0, [])
    assert within["next"] == "feast apply, then feast materialize"
    beyond, code = team.json("rollback", "users", "--version", "1", "--repo", repo)
    assert (code, beyond["to_materialize"]) == (0, ["users_v0"])
    assert beyond["next"].endswith("materialize --disable-event-timestamp --views users_v0")
    told = team.run("rollback", "users", "--version", "1", "--repo", repo)
    assert "Reads of users_v0 are refused" in told.stdout


@pytest.mark.parametrize(("serving", "expected"), [("on_read", ["users_v0"]), ("materialized", [])])
def test_one_rollback_where_none_is_borne(
    team: Team, serving: Serving, expected: list[str]
) -> None:
    repo = str(applied(team, serving, 0))
    told, code = team.json("rollback", "users", "--version", "1", "--repo", repo)
    assert (code, told["to_materialize"]) == (0, expected)


def test_a_folder_that_is_no_repo(team: Team) -> None:
    applied(team, "on_read", 0)
    error, code = team.json("rollback", "users", "--repo", str(team.folder))
    assert (code, error["error"]["type"]) == (1, "CatalogError")
