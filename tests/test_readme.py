"""The README and the first guides: run as they stand, also on the installed wheel (`.ci/wheel`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from feast_bc import online_vectors
from feast_bc.cli.commands import main
from tests.support.pages import blocks, commands_of, run_commands, run_page

TODAY = pd.Timestamp("2026-02-01", tz="UTC")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that docs/start.md leaves."""
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_page("docs/start.md", folder)
    return folder


@pytest.fixture
def previous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the guides begin with: a published version 0 of 8 dimensions, and its users."""
    monkeypatch.chdir(tmp_path)
    users = np.arange(500)
    behaviour = np.random.default_rng(0).normal(size=(500, 20))
    z0 = np.tanh(behaviour @ np.random.default_rng(1).normal(size=(20, 8)) / 4)
    rows = {"user_id": users, "event_timestamp": TODAY, "embedding": list(z0)}
    pd.DataFrame(rows).to_parquet("users_v0.parquet")
    publish = ["publish", "user_embedding", "0", "--vectors", "users_v0.parquet"]
    main([*publish, "--join-key", "user_id", "--catalog", "catalog"], standalone_mode=False)
    return {"users": users, "behaviour": behaviour, "z0": z0, "today": TODAY}


def test_the_readme(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are some of docs/start.md, which ran here; its Python goes on."""
    monkeypatch.chdir(story)
    commands = commands_of("README.md")
    assert len(commands) == 6
    ran = iter(commands_of("docs/start.md"))
    assert all(line in ran for line in commands)  # in this order
    namespace: dict[str, Any] = {}
    for block in blocks("README.md"):
        if block.language == "python":
            exec(compile(block.text, "README.md", "exec"), namespace)  # noqa: S102 - our own README
    assert namespace["present"].tolist() == [True, False]


def test_consumer_teams(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(story)
    left = run_page("docs/consumers.md", story)
    assert left["present"].tolist() == [True, False]


def test_serving(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last to use the story: it pushes, and changes the serving."""
    monkeypatch.chdir(story)
    definitions = story / "embeddings.py"
    text = definitions.read_text()
    assert "empty=True" in text
    definitions.write_text(text.replace("empty=True", "empty=True, push=True"))
    run_commands("feast apply", story)
    vector = np.linspace(-1, 1, 12, dtype=np.float32)
    now = pd.Timestamp("2026-02-20", tz="UTC")
    namespace = {"store": FeatureStore("."), "now": now, "vector": vector}
    run_page("docs/serving.md", story, namespace, sections=["Push"])
    served, _ = online_vectors(namespace["store"], "user_embedding_v1", np.array([7]))
    np.testing.assert_array_equal(served[0], vector)
    before, _ = online_vectors(namespace["store"], "user_embedding_v0", np.array([8]))
    run_page("docs/serving.md", story, namespace, sections=["Less storage"])
    after, _ = online_vectors(FeatureStore("."), "user_embedding_v0", np.array([8]))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_joint_training(tmp_path: Path, previous: dict[str, Any]) -> None:
    left = run_page("docs/joint-training.md", tmp_path, previous)
    assert left["z1"].shape == (500, 12)


def test_post_hoc_only(tmp_path: Path, previous: dict[str, Any]) -> None:
    mix = np.random.default_rng(2).normal(size=(8, 12))
    previous["z_new"] = np.vstack([previous["z0"] @ mix, np.zeros((1, 12))])
    previous["z_old"] = np.vstack([previous["z0"], np.zeros((1, 8))])
    previous["old_users"] = previous["users"]
    previous["users"] = np.arange(501)  # the last one is new
    left = run_page("docs/posthoc-only.md", tmp_path, previous)
    assert left["fitted"].report.centred_error < 0.01
