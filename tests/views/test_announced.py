"""What `feast plan` and `feast apply` say of version views."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from feast import FeatureService, FeatureStore
from feast.project import Project
from feast.repo_contents import RepoContents

from feast_bc.views.announced import came_and_went, summary
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER
from tests.support.team import START, Team

BACK = "2026-03-01T00:00:00+00:00"


def embedding(team: Team, ttl: timedelta | None = None) -> VersionedEmbedding:
    return VersionedEmbedding.from_catalog(team.catalog, "users", entities=[USER], ttl=ttl)


def test_a_line_per_view(tmp_path: Path) -> None:
    team = Team(tmp_path)
    store = FeatureStore(str(team.apply()))
    registered = store.list_feature_views()
    same = embedding(team).feature_views()
    assert came_and_went(registered, same.values(), []) == []
    assert came_and_went([], [same["users_v1"]], [same["users_v0"]]) == [
        "Version views:",
        f"  users_v1: comes: v2 from {START}, else v1; materialized",
        "  users_v0: goes",
    ]
    team.run("rollback", "users", "--at", BACK)
    limited = embedding(team, ttl=timedelta(days=3)).feature_views()
    now = f"v2 from {START} until {BACK}, else v1; materialized, TTL 3 days, 0:00:00"
    assert came_and_went(registered, [limited["users_v1"], limited["users_v2"]], []) == [
        "Version views:",
        f"  users_v1: changes: {now} (was: v2 from {START}, else v1; materialized)",
        "  users_v2: changes: v2; materialized, TTL 3 days, 0:00:00 (was: v2; materialized)",
    ]


def test_the_plan_has_a_line_per_view(tmp_path: Path) -> None:
    """Not two whole protos of each; what is applied is as before."""
    team = Team(tmp_path)
    store = FeatureStore(str(team.apply()))
    team.run("rollback", "users", "--at", BACK)
    views = embedding(team).feature_views()
    moved = FeatureService(name="search_model", features=[views["users_v2"]])
    stays = FeatureService(name="churn_model", features=[views["users_v0"]])
    contents = RepoContents(
        projects=[Project(name="test")],
        data_sources=[],
        feature_views=list(views.values()),
        on_demand_feature_views=[],
        stream_feature_views=[],
        entities=[USER],
        feature_services=[moved, stays],
        permissions=[],
        label_views=[],
    )
    planned, _, _ = store.plan(contents)
    told = planned.to_string()
    assert "configuration" not in told
    assert len(told.splitlines()) < 12
    for name in ("users_v0", "users_v1", "search_model", "churn_model", "ranking_model"):
        assert told.count(name) == 1 + (name == "users_v1")  # search_model leaves users_v1
    assert f"v2 from {START} until {BACK}" in told
    changed = [d for d in planned.feast_object_diffs if d.name == "users_v0"]
    kept = {p.property_name for d in changed for p in d.feast_object_property_diffs}
    assert "batch_source" in kept


def test_what_is_no_version_view_is_left_to_feast() -> None:
    assert summary(USER) is None
    assert summary(FeatureService(name="empty", features=[])) is None
