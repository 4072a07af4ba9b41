"""What OpenLineage is told of a run: the native tables behind the values, and the chains."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore

from tests.support.team import LINKS, START, Team

BEGIN, END = (datetime(*day, tzinfo=timezone.utc) for day in ((2025, 12, 1), (2026, 3, 1)))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file to which OpenLineage's own file transport appends."""
    path = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "openlineage.yml"))
    (tmp_path / "openlineage.yml").write_text(json.dumps({"transport": transport}))
    return path


def switched_on(repo: Path) -> FeatureStore:
    config = json.loads((repo / "feature_store.yaml").read_text())
    config["openlineage"] = {"enabled": True}  # OpenLineage's own configuration says where to
    (repo / "feature_store.yaml").write_text(json.dumps(config))
    return FeatureStore(str(repo))


def ours(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [event for event in found if event["job"]["name"] == "test.materialize.users"]


def test_inputs_are_the_native_tables_of_all_versions(events: Path, tmp_path: Path) -> None:
    team = Team(tmp_path)
    store = switched_on(team.apply())
    store.materialize(BEGIN, END)
    started, completed = ours(events)
    assert (started["eventType"], completed["eventType"]) == ("START", "COMPLETE")
    assert started["run"]["runId"] == completed["run"]["runId"]
    named = [dataset["name"] for dataset in started["inputs"]]
    assert named == ["users_v2_vectors", "users_v1_vectors", "users_v0_vectors"]
    assert len(started["outputs"]) == 3
    facets = started["run"]["facets"]
    stock = [json.loads(line) for line in events.read_text().splitlines()]
    parents = {event["run"]["runId"] for event in stock if event["job"]["name"] != "test"}
    assert facets["parent"]["run"]["runId"] in parents - {started["run"]["runId"]}
    zero = next(v for v in facets["feast_bc_chains"]["views"] if v["view"] == "users_v0")
    assert [(c["from_version"], len(c["transforms"])) for c in zero["chains"]] == [
        (2, 2),
        (1, 1),
        (0, 0),
    ]
    published = [v.transform.sha256 for v in team.catalog.versions("users") if v.transform]
    assert zero["chains"][0]["transforms"] == published[::-1]
    assert len(published) == len(LINKS)


def test_only_versions_that_count_are_named_and_a_failure_is_told(
    events: Path, tmp_path: Path
) -> None:
    team = Team(tmp_path)
    store = switched_on(team.apply())
    (team.folder / "v1.parquet").unlink()
    before = datetime.fromisoformat(START)
    with pytest.raises(Exception, match="users_v1"):
        store.materialize(BEGIN, before.replace(month=1), feature_views=["users_v1"])
    started, failed = ours(events)
    assert [dataset["name"] for dataset in started["inputs"]] == ["users_v1_vectors"]
    assert failed["eventType"] == "FAIL"
    assert "users_v1" in failed["run"]["facets"]["errorMessage"]["message"]


def test_nobody_is_told_where_nobody_asked(events: Path, tmp_path: Path) -> None:
    store = FeatureStore(str(Team(tmp_path).apply()))
    store.materialize(BEGIN, END)
    assert not events.exists()
