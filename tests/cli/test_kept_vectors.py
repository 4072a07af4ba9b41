"""What `feast-bc rollback --repo` says of views that are served on read."""

from __future__ import annotations

import pytest

from feast_bc.views.serving import Serving
from tests.support.team import Team


def test_the_views_that_have_to_be_materialized(team: Team) -> None:
    repo = str(team.apply("on_read", 1))
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
    repo = str(team.apply(serving, 0))
    told, code = team.json("rollback", "users", "--version", "1", "--repo", repo)
    assert (code, told["to_materialize"]) == (0, expected)


def test_a_folder_that_is_no_repo(team: Team) -> None:
    team.apply("on_read", 0)
    error, code = team.json("rollback", "users", "--repo", str(team.folder))
    assert (code, error["error"]["type"]) == (1, "CatalogError")
