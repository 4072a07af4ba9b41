"""What `feast-bc watch` finds, online and by chain, and when it refuses."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from feast_bc.views.serving import Serving
from tests.support.team import Team

END = datetime(2026, 3, 1, tzinfo=timezone.utc)


def materialized(team: Team, serving: Serving) -> str:
    repo = team.apply(serving)
    FeatureStore(str(repo)).materialize(datetime(2025, 12, 1, tzinfo=timezone.utc), END)
    return str(repo)


def spoil(team: Team) -> None:
    """Version 0 as another model would make it: its vectors, each of another entity."""
    frame = pd.read_parquet(team.folder / "v0.parquet")
    frame["embedding"] = frame["embedding"].iloc[::-1].to_numpy()
    frame.to_parquet(team.folder / "v0.parquet")


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_what_is_served_is_compared_with_native_vectors(team: Team, serving: Serving) -> None:
    repo = materialized(team, serving)
    told, code = team.json("watch", "users", "--repo", repo, "--max-growth", "1.5")
    assert code == 0
    by_view = {each["view"]: each for each in told["drift"]}
    assert list(by_view) == ["users_v0", "users_v1"]  # no newer version serves users_v2
    for each in by_view.values():
        assert (each["from_version"], each["entities"]) == (2, 200)
        # All 200 entities here, the held-out ones at publish.
        assert each["error"] == pytest.approx(each["published"], rel=0.3)
    sampled, _ = team.json("watch", "users", "--repo", repo, "--sample", "50")
    assert [each["entities"] for each in sampled["drift"]] == [50, 50]
    spoil(team)
    refused = team.run("watch", "users", "--repo", repo)
    assert refused.exit_code == 3
    assert "users_v0  v2    200" in refused.stdout
    assert "past its limit: users_v0 from version 2: 1." in refused.stderr
    assert "users_v1 from" not in refused.stderr
    told, code = team.json("watch", "users", "--repo", repo)
    assert (code, told["error"]["type"], len(told["drift"])) == (3, "DriftError", 2)


def test_chains_are_compared_without_a_store(team: Team) -> None:
    team.publish_all()
    idle = team.run("watch", "users")
    assert (idle.exit_code, "nothing could be compared" in idle.stderr) == (1, True)
    team.run("activate", "users", "2", "--from", "2026-02-01T00:00:00+00:00")
    told, code = team.json("watch", "users")
    assert code == 0
    shown = {(each["view"], each["from_version"]) for each in told["drift"]}
    assert shown == {("users_v0", 2), ("users_v1", 2)}
    for each in told["drift"]:
        assert each["error"] == pytest.approx(each["published"], rel=0.3)
    grown = team.run("watch", "users", "--max-centred-error", "0.001")
    assert (grown.exit_code, "published 0.0" in grown.stderr) == (3, True)


def test_a_change_of_the_source_is_told_as_such(team: Team) -> None:
    team.publish_all()
    team.run("activate", "users", "2", "--from", "2026-02-01T00:00:00+00:00")
    rng = np.random.default_rng(1)
    team.write(0, rng.normal(size=(200, 3)).astype(np.float32))
    refused = team.run("watch", "users")
    assert (refused.exit_code, "version 0" in refused.stderr) == (1, True)


def test_an_embedding_that_is_not_applied(team: Team, tmp_path: Path) -> None:
    refused = team.run("watch", "items", "--repo", materialized(team, "materialized"))
    assert (refused.exit_code, "has no view of 'items'" in refused.stderr) == (1, True)
