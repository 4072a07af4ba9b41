"""A registry with a relative path is the feature repo's, wherever a process stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feast import FeatureStore

from feast_bc.views.provider_line import PROVIDER
from feast_bc.views.repo_store import repo_store
from tests.support.families import EXAMPLE, USER, at
from tests.support.online_stores import sqlite_dump


def test_a_relative_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "repo", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    settings = {
        "project": "test",
        "provider": PROVIDER,
        "registry": "registry.db",
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": "online.db"},
        "entity_key_serialization_version": 3,
    }
    (folder / "feature_store.yaml").write_text(json.dumps(settings))  # JSON is YAML
    monkeypatch.chdir(elsewhere)
    store = FeatureStore(str(folder))
    views = EXAMPLE.write(folder).feature_views()
    store.apply([USER, *views.values()])
    store.materialize(at(-1), at(6))
    assert {view.name for view in repo_store(store.config).list_feature_views()} == {*views}

    # The view that stays needs what stands for both.
    store.apply([USER], objects_to_delete=[views["user_embedding_v1"]], partial=False)
    tables = sqlite_dump(folder / "online.db")
    assert "test_user_embedding_v0" in tables
    assert len(tables["test_user_embedding_state"]) > 1
    assert "test_user_embedding_v1" not in tables
    assert list(elsewhere.iterdir()) == []
