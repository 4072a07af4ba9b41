"""The figures that need a feature repo."""

from __future__ import annotations

import pytest

from tests.observed.conftest import Observed


def test_consumers_freshness_and_nulls(observed: Observed) -> None:
    told, code = observed.team.json("report", "users", "--repo", str(observed.repo))
    assert code == 0
    live = told["live"]
    assert (live["serving"], live["sample"]) == ("materialized", 200)
    views = {view["view"]: view for view in live["views"]}
    assert list(views) == ["users_v0", "users_v1", "users_v2"]  # as applied
    assert views["users_v0"]["consumers"] == ["churn_model", "ranking_model"]
    for view in views.values():
        assert view["written_until"] == "2026-03-01T00:00:00+00:00"
        assert (view["null_share"], view["shares"]) == (0, {"2": 1})
    (drift,) = views["users_v0"]["drift"]
    assert drift["error"] == pytest.approx(drift["published"], rel=0.3)
    assert views["users_v2"]["drift"] == []


def test_a_repo_without_the_embedding(observed: Observed) -> None:
    team = observed.team
    vectors = ["--vectors", str(team.folder / "v0.parquet"), "--join-key", "user_id"]
    assert team.run("publish", "others", "0", *vectors).exit_code == 0
    refused = team.run("report", "others", "--repo", str(observed.repo), "--json")
    assert (refused.exit_code, "has no view of 'others'" in refused.output) == (1, True)
