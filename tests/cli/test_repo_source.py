"""Sources that a feature repo defines."""

from __future__ import annotations

import pytest

from tests.support.team import Team


def test_sources_of_a_feature_repo(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, elsewhere = team.folder / "repo", team.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(
        "project: p\nregistry: data/registry.db\nprovider: local\n"
        "online_store: {type: sqlite, path: data/online.db}\noffline_store: {type: dask}\n"
        "entity_key_serialization_version: 3\n"
    )
    (repo / "definitions.py").write_text(
        "from feast import FileSource\n"
        "users = FileSource(name='users_native', timestamp_field='event_timestamp',\n"
        f"    path={str(team.folder / 'v0.parquet')!r})\n"
    )
    options = ["--repo", str(repo), "--join-key", "user_id"]
    missing = team.run("publish", "users", "0", "--source", "nobody", *options)
    assert missing.exit_code == 1
    assert "there are: users_native" in missing.stderr
    found = team.run("publish", "users", "0", "--source", "users_native", *options)
    assert found.exit_code == 0, found.output
    assert team.catalog.versions("users")[0].source.name == "users_native"
    assert list(elsewhere.iterdir()) == []  # the registry is the repo's, wherever we stand
    broken = team.folder / "broken"
    broken.mkdir()
    options = ["--source", "x", "--repo", str(broken), "--join-key", "user_id"]
    assert "feature_store.yaml cannot be loaded" in team.run("publish", "u", "0", *options).stderr
