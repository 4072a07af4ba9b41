"""The runbook, run as it stands: each section on a repo in which that went wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import Entity, FeatureStore, ValueType

from feast_bc import EmbeddingCatalog, VersionedEmbedding
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.refusal import GATE_CHECKS
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from tests.support.links import affine
from tests.support.pages import blocks, run_commands, run_page, run_session

RUNBOOK = "docs/operations.md"
NAME = "user_embedding"
USERS = list(range(1, 25))
HALF = len(USERS) // 2
DIMS = [2, 3, 4]
RIGHT = {k: affine(k, DIMS[k], DIMS[k - 1], seed=k) for k in (1, 2)}
YAML = """
project: shop
provider: feast_bc.BackwardCompatibleProvider
registry: data/registry.db
offline_store: {type: duckdb}
online_store: {type: sqlite, path: data/online.db}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
from feast import Entity, ValueType
from feast_bc import EmbeddingCatalog, VersionedEmbedding

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
family = VersionedEmbedding.from_catalog(
    EmbeddingCatalog("data/catalog"), "user_embedding", entities=[user]
)
globals().update(family.feature_views())
"""


class Shop:
    """A repo whose version 2 was published with a wrong transformation, and is active."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        (folder / "feature_store.yaml").write_text(YAML)
        (folder / "definitions.py").write_text(DEFINITIONS)
        vectors = np.random.default_rng(0).normal(size=(len(USERS), DIMS[2])).astype(np.float32)
        self.vectors = {2: vectors}
        for k in (2, 1):
            self.vectors[k - 1] = RIGHT[k].apply(self.vectors[k])
            save_artifact(RIGHT[k], folder / "runs" / f"b{k}")
        wrong = AffineTransform(-RIGHT[2].weight, from_version=2, to_version=1)
        save_artifact(wrong, folder / "runs" / "wrong")
        for k, native in self.vectors.items():
            stamp = pd.Timestamp(f"2026-0{k + 1}-01", tz="UTC")
            frame = {"user_id": USERS, "event_timestamp": stamp, "embedding": list(native)}
            pd.DataFrame(frame).to_parquet(folder / f"v{k}.parquet")
        for k, artifact in enumerate([None, "b1", "wrong"]):
            publish_version(
                self.catalog,
                NAME,
                k,
                source=parquet_source(
                    str(folder / f"v{k}.parquet"), f"{NAME}_v{k}_vectors", "event_timestamp"
                ),
                artifact=artifact and folder / "runs" / artifact,
                join_keys=["user_id"],
                force=GATE_CHECKS,
            )

    @property
    def catalog(self) -> EmbeddingCatalog:
        return EmbeddingCatalog(self.folder / "data" / "catalog")

    def release(self) -> None:
        """Activate version 2, wrong as it is, and write its values."""
        self.catalog.activate(NAME, 2, datetime(2026, 3, 1, tzinfo=timezone.utc))
        self.apply()
        FeatureStore(str(self.folder)).materialize(
            datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2026, 3, 10, tzinfo=timezone.utc)
        )

    def apply(self) -> None:
        user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
        family = VersionedEmbedding.from_catalog(self.catalog, NAME, entities=[user])
        FeatureStore(str(self.folder)).apply([user, *family.feature_views().values()])

    def run(self, commands: str, *, fails: bool = False) -> str:
        return run_commands(commands, self.folder, fails=fails)

    def follow(self, section: str, *numbers: int) -> None:
        """Run the commands of blocks of a section."""
        found = [block for block in blocks(RUNBOOK) if block.section == section]
        for number in numbers:
            run_session(found[number].text, self.folder)

    def served(self) -> np.ndarray:
        """The values of view 0."""
        rows = [{"user_id": user} for user in USERS]
        store = FeatureStore(str(self.folder))
        response = store.get_online_features([f"{NAME}_v0:embedding"], rows)
        return np.array(response.to_dict()["embedding"], np.float32)

    def serves_right_values(self) -> None:
        np.testing.assert_allclose(self.served(), self.vectors[0], rtol=1e-4, atol=1e-4)
        assert all(check.ok for check in self.catalog.verify())

    def serves_wrong_values(self) -> None:
        assert np.abs(self.served() - self.vectors[0]).max() > 0.5


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("FEAST_BC_CATALOG", "data/catalog")
    monkeypatch.chdir(tmp_path)  # the online store looks for the registry where we stand
    return Shop(tmp_path)


def test_a_bad_release_at_night(shop: Shop) -> None:
    shop.release()
    shop.serves_wrong_values()
    shop.follow("A bad release at night", 0)
    shop.serves_right_values()
    shop.follow("A bad release at night", 1)
    shop.serves_right_values()
    assert shop.catalog.versions(NAME)[2].activations[-1].active_until is None


def test_a_wrong_transformation_was_published(shop: Shop) -> None:
    shop.follow("A wrong transformation was published", 0)
    again = shop.catalog.version(NAME, 2)
    assert not again.events[0].forced
    shop.follow("A wrong transformation was published", 1)
    assert all(check.ok for check in shop.catalog.verify())


def test_a_source_went_bad(shop: Shop) -> None:
    shop.release()
    shop.catalog.rollback(NAME, at=datetime(2026, 3, 1, tzinfo=timezone.utc))
    shop.apply()
    (shop.folder / "backup").mkdir()
    source, backup = shop.folder / "v2.parquet", shop.folder / "backup" / "v2.parquet"
    shutil.copy(source, backup)
    run = "feast materialize 2025-01-01T00:00:00 2026-03-15T00:00:00"
    pd.read_parquet(source).iloc[:HALF].to_parquet(source)
    assert f"it has {HALF} rows, had {len(USERS)}" in shop.run(
        "feast-bc verify --sources", fails=True
    )
    assert f"it has {HALF} rows, had {len(USERS)}" in shop.run(run, fails=True)
    shop.follow("A source went bad", 0, 1)
    shop.serves_right_values()
    pd.read_parquet(source).iloc[:HALF].to_parquet(source)
    shop.follow("A source went bad", 3)
    shop.run(run, fails=True)
    shop.follow("A source went bad", 2)
    shop.run(run)
    shop.serves_right_values()


def test_the_catalog_is_lost(shop: Shop) -> None:
    shop.release()
    shutil.move(shop.folder / "data" / "catalog", shop.folder / "backup" / "catalog")
    shop.follow("The catalog is lost", 0)
    shutil.rmtree(shop.folder / "data" / "catalog")
    shop.serves_wrong_values()  # as before: nothing is read from the catalog
    shop.follow("The catalog is lost", 1, 2)
    shop.serves_right_values()


def test_the_catalog_was_restored_from_an_older_backup(shop: Shop) -> None:
    shop.release()
    catalog, backup = shop.folder / "data" / "catalog", shop.folder / "backup"
    shutil.copytree(catalog, backup)
    shop.catalog.rollback(NAME, at=datetime(2026, 3, 1, tzinfo=timezone.utc))
    shop.apply()
    shutil.rmtree(catalog)
    shutil.copytree(backup, catalog)
    assert "from a backup older than the registry" in shop.run("feast apply", fails=True)
    shop.follow("The catalog was restored from an older backup", 0)
    shop.serves_right_values()


def test_seeing_what_is_served(shop: Shop) -> None:
    shop.catalog.activate(NAME, 1, datetime(2026, 2, 1, tzinfo=timezone.utc))
    shop.apply()
    FeatureStore(str(shop.folder)).materialize(
        datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2026, 3, 10, tzinfo=timezone.utc)
    )
    shop.follow("Seeing what is served", 0, 1)
    assert "Who serves whom" in (shop.folder / "page.html").read_text()
    shop.release()
    refused = shop.run("feast-bc watch user_embedding --repo . --max-growth 1.5", fails=True)
    assert "user_embedding_v0 from version 2: " in refused


@pytest.mark.parametrize("fault", ["The registry is lost", "The file registry is corrupt"])
def test_a_registry_that_is_gone(shop: Shop, fault: str) -> None:
    shop.release()
    registry = shop.folder / "data" / "registry.db"
    if fault == "The registry is lost":
        registry.unlink()
    else:
        registry.write_bytes(registry.read_bytes()[:-50])
        shop.run("feast apply", fails=True)
    shop.follow(fault, 0)
    shop.serves_wrong_values()  # what the catalog says
    assert len(FeatureStore(str(shop.folder)).list_feature_views()) == 3


def test_a_backup(shop: Shop) -> None:
    (shop.folder / "backup").mkdir()
    shop.follow("Backing up the catalog", 0)
    assert all(check.ok for check in EmbeddingCatalog("backup/catalog").verify())


def test_leaving_again(shop: Shop) -> None:
    """The values stay, online and in the history, and nobody needs the package any more."""
    shop.release()
    shop.catalog.rollback(NAME, at=datetime(2026, 3, 8, tzinfo=timezone.utc))
    shop.apply()
    FeatureStore(str(shop.folder)).materialize(
        datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2026, 3, 15, tzinfo=timezone.utc)
    )
    instants = [f"2026-{day}" for day in ("01-15", "02-15", "03-05", "03-10")]
    asked = pd.DataFrame(
        {
            "user_id": [1] * 4,
            "event_timestamp": pd.to_datetime(instants, utc=True),
        }
    )
    features = [f"{NAME}_v{k}:embedding" for k in (0, 1)]

    def history() -> list[np.ndarray]:
        job = FeatureStore(str(shop.folder)).get_historical_features(
            asked, features, full_feature_names=True
        )
        frame = job.to_df().sort_values("event_timestamp")
        return [np.vstack(frame[f.replace(":", "__")].dropna()) for f in features]

    online, past = shop.served(), history()
    run_page(RUNBOOK, shop.folder, sections=["Leaving feast-bc again"])
    np.testing.assert_allclose(shop.served(), online, atol=1e-6)
    for after, before in zip(history(), past, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)
    without = "import sys; sys.modules['feast_bc'] = None; from feast import FeatureStore; "
    asks = f"get_online_features({features[:1]}, [{{'user_id': 1}}])"
    read = f"print(FeatureStore('.').{asks}.to_dict())"
    printed = shop.run(f'{sys.executable} -c "{without}{read}"')
    assert "'embedding': [[" in printed


def test_every_command_of_the_runbook_is_run() -> None:
    """A section with commands has a test of its own above."""
    with_commands = {block.section for block in blocks(RUNBOOK) if block.language == "console"}
    tested: list[Callable[..., None]] = [
        test_a_bad_release_at_night,
        test_a_wrong_transformation_was_published,
        test_a_source_went_bad,
        test_the_catalog_is_lost,
        test_the_catalog_was_restored_from_an_older_backup,
        test_seeing_what_is_served,
        test_a_registry_that_is_gone,
        test_a_backup,
        test_leaving_again,
    ]
    assert len(with_commands) == len(tested) + 1  # two ways for a registry to be gone
