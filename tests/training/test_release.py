"""A finished run goes to a catalog, and from there through `feast apply` to a consumer."""

import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from feast import FeatureStore

from feast_bc import EmbeddingCatalog
from feast_bc.transforms import compose
from training.__main__ import main
from training.comparison.experiment import Experiment, read_experiment
from training.comparison.run import Run
from training.encoders.encoder import ITEMS, USERS
from training.interactions.interactions import Interactions

METHOD = "BC-Aligner-Refit"
# Nine of the tiny shop's items are held out: their error says little.
_LENIENT = ("--max-centred-error", "0.8")
FEATURE_REPO = Path(__file__).parents[2] / "feature_repo"


@pytest.fixture(scope="module")
def place(shop: Interactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, an experiment of two seeds, and the run of the first one."""
    folder = tmp_path_factory.mktemp("release")
    said = Experiment(
        name="tiny",
        methods=(METHOD, "NoBC"),
        tasks=("spend",),
        data=str(folder / "purchases.parquet"),
        quantiles=(0.55, 0.7, 0.85, 1.0),
        dims=(6, 8, 10),
        schedule={"epochs": 12, "batch": 64},
        seeds=2,
    )
    columns = {
        "user_id": shop.user_ids.take(pa.array(shop.user)),
        "item_id": shop.item_ids.take(pa.array(shop.item)),
        "timestamp": shop.timestamp,
        "quantity": np.ones(len(shop), np.int64),
        "unit_price": shop.price,
    }
    pq.write_table(pa.table(columns), folder / "purchases.parquet")
    text = yaml.safe_dump({k: _plain(v) for k, v in asdict(said).items() if v is not None})
    (folder / "tiny.yaml").write_text(text)
    Run(said, said.interactions(), folder / "run", lambda _: None)([METHOD], 1)
    return folder


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _publish(place: Path, catalog: Path, *options: str, method: str = METHOD) -> Result:
    arguments = ["publish", str(place / "tiny.yaml"), "--folder", str(place / "run")]
    arguments += ["--method", method, "--catalog", str(catalog), *options]
    return CliRunner().invoke(main, arguments)


def test_from_a_run_to_a_consumer(place: Path, tmp_path: Path) -> None:
    repo = tmp_path / "feature_repo"
    shutil.copytree(FEATURE_REPO, repo, ignore=shutil.ignore_patterns("data", "__pycache__"))
    (repo / "data").mkdir()
    done = _publish(place, repo / "data" / "catalog", "--activate", *_LENIENT)
    assert done.exit_code == 0, done.output

    run = Run(*_experiment(place), place / "run", lambda _: None)
    versions = run.versions(METHOD, 0)
    newest = versions[-1]
    last = str(newest.past.instant.astype("datetime64[s]"))
    for command in (["apply"], ["materialize", "2024-01-01T00:00:00", last]):
        _feast(repo, *command)
    store = FeatureStore(str(repo))
    users = newest.past.user_ids.to_pylist()
    response = store.get_online_features(["user_embedding_v0:embedding"], {"user_id": users})
    chain = compose([v.backward[USERS] for v in (newest, versions[1])])
    expected = chain.apply(newest.encoder.users(newest.past).numpy())
    served = np.array(response.to_dict()["embedding"], np.float32)
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-5)

    # At the birth of version 0 its consumers find its native vectors.
    first = versions[0]
    asked = {
        "user_id": first.past.user_ids.to_pandas(),
        "event_timestamp": pd.Timestamp(first.past.instant).tz_localize("UTC"),
    }
    job = store.get_historical_features(pd.DataFrame(asked), ["user_embedding_v0:embedding"])
    found = job.to_df().set_index("user_id")["embedding"].loc[asked["user_id"]]
    native = first.encoder.users(first.past).numpy()
    np.testing.assert_array_equal(np.stack(found.to_list()).astype(np.float32), native)


def test_publishing_twice_changes_nothing(place: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    assert _publish(place, catalog).exit_code == 0
    before = {p: p.read_bytes() for p in sorted(catalog.rglob("*")) if p.is_file()}
    done = _publish(place, catalog)
    assert done.exit_code == 0, done.output
    assert {p: p.read_bytes() for p in sorted(catalog.rglob("*")) if p.is_file()} == before
    assert "feast-bc activate item_embedding 2" in done.output
    for _ in range(2):
        done = _publish(place, catalog, "--activate", *_LENIENT)
        assert done.exit_code == 0, done.output
    events = [event.event for event in EmbeddingCatalog(catalog).version(ITEMS, 2).events]
    assert events == ["publish", "activate"]
    for family in (USERS, ITEMS):
        published = EmbeddingCatalog(catalog).published(family)
        assert [one.manifest.dim for one in published] == [6, 8, 10]
        assert published[2].manifest.metrics["alignment"]
        assert published[2].manifest.metrics["training"]["centred_error"] < 0.8


def test_the_quality_gate_stands_before_publishing(place: Path, tmp_path: Path) -> None:
    done = _publish(place, tmp_path / "catalog", "--activate", method="NoBC")
    assert done.exit_code == 1
    assert "user_embedding version 1 is not published: the quality gate does not pass" in (
        done.output
    )


def test_what_was_not_run_is_refused(place: Path, tmp_path: Path) -> None:
    for options, method in ((("--seed", "1"), METHOD), ((), "BC-Aligner")):
        done = _publish(place, tmp_path / "catalog", *options, method=method)
        assert done.exit_code == 1
        assert "run the experiment first" in done.output
    assert not (tmp_path / "catalog").exists()
    done = _publish(place, tmp_path / "catalog", method="Magic")
    assert "No method 'Magic'" in done.output


def _experiment(place: Path) -> tuple[Experiment, Interactions]:
    said = read_experiment(place / "tiny.yaml")
    return said, said.interactions()


def _feast(repo: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "feast.cli.cli", *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=repo, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
