"""The feature repo and the `feast` command, as the embedding team and its consumers use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from tests.support.repo import COMPUTED, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path)


def served(repo: Repo, service: str, **keys: Sequence[object]) -> list[list[float]]:
    store = FeatureStore(repo_path=str(repo.folder))
    rows = [dict(zip(keys, values, strict=True)) for values in zip(*keys.values(), strict=True)]
    response = store.get_online_features(store.get_feature_service(service), rows).to_dict()
    return response["embedding"]  # type: ignore[no-any-return]


def test_the_life_of_a_version(repo: Repo) -> None:
    """Publish, plan, apply, materialize, cut over, roll back, retire, tear down."""
    repo.publish(0)
    planned = repo.feast("plan")
    assert "user_embedding_v0" in planned.stdout
    repo.feast("apply")
    told = repo.feast("materialize", "2025-12-01T00:00:00", "2026-01-15T00:00:00").stderr
    for name in ("user_embedding", "item_embedding"):  # one progress bar per family
        assert told.count(f"{name}: 100%") == 1
    assert "rows/s]" in told
    assert "it/s" not in told
    users = [1, 2, 3]
    np.testing.assert_array_equal(
        served(repo, "churn_model", user_id=users), repo.vectors["user_embedding", 0]
    )

    # A new version needs no edit of definitions.py, and its consumers none at all.
    repo.publish(1, active=True)
    repo.publish(2, active=True)
    applied = repo.feast("apply")
    first, second = (f"from {COMPUTED[k].isoformat()}" for k in (1, 2))
    changed = f"v2 {second}, else v1 {first}, else v0; materialized (was: v0; materialized)"
    for line in (
        "user_embedding_v2: comes: v2; materialized",
        f"user_embedding_v1: comes: v2 {second}, else v1; materialized",
        f"user_embedding_v0: changes: {changed}",
    ):
        assert f"  {line}\n" in applied.stdout
    repo.feast("materialize-incremental", "2026-03-15T00:00:00")
    np.testing.assert_allclose(
        served(repo, "churn_model", user_id=users),
        repo.expected("user_embedding", view=0, newest=2),
        rtol=1e-5,
        atol=1e-6,
    )
    store = FeatureStore(repo_path=str(repo.folder))
    frame = pd.DataFrame(
        {"user_id": users, "event_timestamp": pd.Timestamp("2026-02-15", tz="UTC")}
    )
    training_set = store.get_historical_features(frame, store.get_feature_service("churn_model"))
    np.testing.assert_allclose(
        np.stack(training_set.to_df()["embedding"]),
        repo.expected("user_embedding", view=0, newest=1),
        rtol=1e-5,
        atol=1e-6,
    )

    repo.catalog.retire("user_embedding", 1)
    failed = repo.feast("apply", check=False)
    assert failed.returncode != 0  # ranking_model is pinned to version 1
    assert "user_embedding version 1 is retired; offered versions: 0, 2" in failed.stderr

    repo.feast("teardown")
    assert not (repo.folder / "data" / "online.db").exists()


def test_an_empty_catalog_says_what_to_do(repo: Repo) -> None:
    failed = repo.feast("apply", check=False)
    assert failed.returncode != 0
    assert "feast-bc publish user_embedding 0" in failed.stderr


def test_a_store_yaml_without_the_provider(repo: Repo) -> None:
    repo.publish(0)
    yaml = repo.folder / "feature_store.yaml"
    text = yaml.read_text()
    yaml.write_text(
        text.replace("provider: feast_bc.BackwardCompatibleProvider", "provider: local")
    )
    failed = repo.feast("apply", check=False)
    assert failed.returncode != 0
    assert "Set `provider: feast_bc.BackwardCompatibleProvider`" in failed.stderr
