"""What the tags of version views tell `feast ui`, and the metric of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from feast_bc.views.tags import ERROR, errors_of, view_tags
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER
from tests.support.team import START, Team


def test_error_activation_and_catalog(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.publish_all()
    for version in ("1", "2"):
        team.run("activate", "users", version, "--from", START)
    team.run("rollback", "users", "--version", "2", "--at", START)
    views = VersionedEmbedding.from_catalog(team.catalog, "users", entities=[USER]).feature_views()
    tags = views["users_v0"].tags
    assert tags["feast_bc.catalog"] == team.catalog.root
    assert tags["feast_bc.active_since"] == f"v1 since {START}"
    shown, _ = team.json("show", "users", "2")
    (report,) = (v["metrics"]["alignment"] for v in shown["versions"])
    measured = report["older"][-1]["on_held_out"]["centred_error"]
    errors = errors_of(tags)
    assert list(errors) == [2, 1]
    assert errors[2] == pytest.approx(measured, rel=1e-3)
    assert "feast_bc.active_since" not in views["users_v1"].tags  # its own vectors serve it
    assert ERROR not in views["users_v2"].tags


def test_small_errors_are_read_back() -> None:
    assert errors_of({ERROR: "v12 -> v0: 1.5e-07; v2 -> v0: 1.2"}) == {12: 1.5e-07, 2: 1.2}
    assert errors_of({}) == {}


def test_a_login_is_left_out(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.publish(0)
    members = team.catalog.versions("users")
    tags = view_tags("users", members, "materialized", catalog="ftp://me:secret@host/catalog")
    assert tags["feast_bc.catalog"] == "ftp://host/catalog"
