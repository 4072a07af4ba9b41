"""`feast serve` and `feast ui` over a repo with versioned embeddings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from feast import FeatureStore
from feast.repo_config import RepoConfig

from feast_bc.errors import ProviderError
from feast_bc.materialization.switch_serving import drop_serving, prepare_serving
from tests.support.measured import measured, measuring
from tests.support.repo import COMPUTED, Repo
from tests.support.servers import running


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = Repo(tmp_path_factory.mktemp("servers"))
    made.publish(0)
    made.publish(1, active=True)
    made.feast("apply")
    made.feast("materialize", "2025-12-01T00:00:00", "2026-03-15T00:00:00")
    return made


def served(repo: Repo, *command: str, **environment: str) -> AbstractContextManager[str]:
    """An HTTP server of a repo, and where it listens."""
    return running(repo.folder, {**repo.environment, **environment}, *command, health="/health")


def test_serve(repo: Repo, tmp_path: Path) -> None:
    variables = measuring(tmp_path / "measured")
    with served(repo, "serve", "--metrics", "--workers", "2", **variables) as address:
        answer = requests.post(
            f"http://{address}/get-online-features",
            json={"feature_service": "churn_model", "entities": {"user_id": [3, 1, 99]}},
            timeout=30,
        ).json()
        counted = measured(tmp_path / "measured")
    names = answer["metadata"]["feature_names"]
    vectors = answer["results"][names.index("embedding")]
    expected = repo.expected("user_embedding", view=0, newest=1)
    np.testing.assert_allclose(vectors["values"][:2], expected[[2, 0]], rtol=1e-5, atol=1e-6)
    assert vectors["values"][2] is None
    assert vectors["statuses"] == ["PRESENT", "PRESENT", "NOT_FOUND"]
    view = "user_embedding_v0"
    assert counted["feast_bc_rows_total"] == {("stored", view): 2}
    assert counted["feast_bc_null_rows_total"] == {(view,): 1}
    assert counted["feast_bc_serving_version"] == {(view,): 1}
    assert counted["feast_bc_freshness_seconds"][view,] > 0


def test_serve_on_read(tmp_path: Path) -> None:
    """Native vectors only; a pushed one and a rollback show at once, through the real commands."""
    repo = Repo(tmp_path)
    definitions = repo.folder / "definitions.py"
    options = 'entities=[user], serving="on_read", push=True, errors={1: {0: 0.25}}'
    definitions.write_text(definitions.read_text().replace("entities=[user]", options))
    repo.publish(0)
    repo.publish(1, active=True)
    repo.feast("apply")
    repo.feast("materialize", "2025-12-01T00:00:00", "2026-03-15T00:00:00")
    expected = repo.expected("user_embedding", view=0, newest=1)
    fresh = np.arange(3, dtype=np.float32)
    variables = measuring(tmp_path / "measured")
    with served(repo, "serve", "--metrics", **variables) as address:

        def ask() -> dict[str, list[Any]]:
            answer = requests.post(
                f"http://{address}/get-online-features",
                json={
                    "features": ["user_embedding_v0:embedding", "item_embedding_v1:embedding"],
                    "entities": {"user_id": [3, 1, 99], "item_id": ["a", "b", "a"]},
                    "full_feature_names": True,
                },
                timeout=30,
            ).json()
            names = answer["metadata"]["feature_names"]
            items = answer["results"][names.index("item_embedding_v1__embedding")]["values"]
            np.testing.assert_allclose(items, repo.vectors["item_embedding", 1][[0, 1, 0]])
            vectors: dict[str, list[Any]] = answer["results"][
                names.index("user_embedding_v0__embedding")
            ]
            return vectors

        vectors = ask()
        np.testing.assert_allclose(vectors["values"][:2], expected[[2, 0]], rtol=1e-5, atol=1e-6)
        assert vectors["statuses"] == ["PRESENT", "PRESENT", "NOT_FOUND"]
        requests.post(
            f"http://{address}/push",
            json={
                "push_source_name": "user_embedding_v1_push",
                "df": {
                    "user_id": [99],
                    "event_timestamp": ["2026-03-20T00:00:00+00:00"],
                    "embedding": [fresh.tolist()],
                },
                "to": "online",
            },
            timeout=30,
        ).raise_for_status()
        pushed = repo.catalog.transform("user_embedding", 1).apply(fresh[None])
        np.testing.assert_allclose(ask()["values"][2], pushed[0], rtol=1e-5, atol=1e-6)
        counted = measured(tmp_path / "measured")
    view = "user_embedding_v0"
    assert counted["feast_bc_rows_total"] == {("1", view): 5, ("stored", "item_embedding_v1"): 6}
    assert counted["feast_bc_null_rows_total"] == {(view,): 1}
    assert counted["feast_bc_transform_seconds_count"] == {(view,): 2}
    assert counted["feast_bc_serving_version"] == {(view,): 1, ("item_embedding_v1",): 1}
    assert counted["feast_bc_relative_error"] == {("user_embedding", "1", "0"): 0.25}
    repo.catalog.rollback("user_embedding", at=COMPUTED[2])
    repo.feast("apply")
    with served(repo, "serve") as address:
        vectors = ask()
    native = repo.vectors["user_embedding", 0]
    np.testing.assert_allclose(vectors["values"][:2], native[[2, 0]], rtol=1e-6)
    assert vectors["values"][2] is None


def test_a_client_of_a_feature_server(tmp_path: Path) -> None:
    """It hands rows to the server, whose provider brings them to all views, and queries."""
    repo = Repo(tmp_path)
    definitions = repo.folder / "definitions.py"
    options = "entities=[user], push=True"
    definitions.write_text(definitions.read_text().replace("entities=[user]", options))
    repo.publish(0)
    repo.publish(1, active=True)
    repo.feast("apply")
    repo.feast("materialize", "2025-12-01T00:00:00", "2026-03-15T00:00:00")
    fresh = np.arange(3, dtype=np.float32)
    value = repo.catalog.transform("user_embedding", 1).apply(fresh[None])[0]
    with served(repo, "serve") as address:
        client = FeatureStore(
            config=RepoConfig(
                project="feast_bc",
                provider="feast_bc.BackwardCompatibleProvider",
                registry=str(repo.folder / "data" / "registry.db"),
                offline_store={"type": "duckdb"},
                online_store={"type": "remote", "path": f"http://{address}"},
                entity_key_serialization_version=3,
            )
        )
        rows = {"user_id": [1], "event_timestamp": [COMPUTED[2]], "embedding": [fresh]}
        client.push("user_embedding_v1_push", pd.DataFrame(rows))
        found = client.get_online_features(["user_embedding_v0:embedding"], [{"user_id": 1}])
        near = client.retrieve_online_documents_v2(
            features=["user_embedding_v0:embedding"], query=value.tolist(), top_k=2
        ).to_dict()
        with pytest.raises(ProviderError, match="not with a RemoteOnlineStore"):
            prepare_serving(client, "user_embedding", "on_read")
        with pytest.raises(ProviderError, match="not with a RemoteOnlineStore"):
            drop_serving(client, "user_embedding", "on_read")
    np.testing.assert_allclose(found.to_dict()["embedding"][0], value, rtol=1e-5, atol=1e-6)
    assert min(zip(near["distance"], near["user_id"], strict=True))[1] == 1
    np.testing.assert_allclose(min(near["distance"]), 0, atol=1e-5)


def test_ui_shows_the_views_and_their_lineage(repo: Repo) -> None:
    with served(repo, "ui") as address:
        assert requests.get(f"http://{address}", timeout=30).ok
        listed = requests.get(
            f"http://{address}/api/v1/feature_views", params={"project": "feast_bc"}, timeout=30
        ).json()
        names = {view["spec"]["name"] for view in listed["featureViews"]}
        assert {"user_embedding_v0", "user_embedding_v1", "item_embedding_v0"} <= names
        lineage = requests.get(
            f"http://{address}/api/v1/lineage/registry?project=feast_bc", timeout=30
        )
    edges = {
        (edge["source"]["name"], edge["target"]["name"]) for edge in lineage.json()["relationships"]
    }
    assert ("user_embedding_v0", "churn_model") in edges
    assert ("user_embedding_v0", "user_embedding_v0") in edges  # data source -> view
