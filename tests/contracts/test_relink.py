"""Correcting a published transformation: measured, gated, and felt by newer versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.contracts.activation import activate_version
from feast_bc.contracts.relink import relink_version
from feast_bc.errors import DimensionError, DirectionError, QualityGateError, UnknownVersionError
from feast_bc.publishing.alignment import stored_report
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.refusal import GATE_CHECKS
from feast_bc.transforms import AffineTransform
from feast_bc.transforms.artifact import save_artifact
from tests.support.catalogs import T0
from tests.support.links import affine
from tests.support.presence import there

DIMS = [3, 4, 5]
RIGHT = {k: affine(k, DIMS[k], DIMS[k - 1], seed=k) for k in (1, 2)}
WRONG = AffineTransform(-RIGHT[1].weight, from_version=1, to_version=0)


class Team:
    """Three versions whose right transformations are exact; B_1 was published wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = EmbeddingCatalog(folder / "catalog")
        vectors = np.random.default_rng(0).normal(size=(50, DIMS[2])).astype(np.float32)
        for k in (2, 1, 0):
            frame = {"user_id": range(50), "event_timestamp": T0, "embedding": list(vectors)}
            pd.DataFrame(frame).to_parquet(folder / f"v{k}.parquet")
            if k:
                vectors = RIGHT[k].apply(vectors)
                save_artifact(RIGHT[k], folder / f"b{k}")
        save_artifact(WRONG, folder / "wrong")
        for k, artifact in enumerate([None, "wrong", "b2"]):
            publish_version(
                self.catalog,
                "users",
                k,
                source=parquet_source(str(folder / f"v{k}.parquet"), f"v{k}", "event_timestamp"),
                artifact=artifact and folder / artifact,
                join_keys=["user_id"],
                force=GATE_CHECKS,
            )

    def errors(self, version: int) -> dict[int, float]:
        """Per older version the centred error of the chain to it."""
        report = there(stored_report(self.catalog.version("users", version)))
        return {entry.version: there(entry.on_all.centred_error) for entry in report.older}


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def test_the_gate_says_which_link_is_at_fault(team: Team) -> None:
    with pytest.raises(QualityGateError, match=r"2 -> 0.*older link: .* 1 -> 0 with `feast-bc rel"):
        activate_version(team.catalog, "users", 2, T0)
    with pytest.raises(QualityGateError, match="Does the artifact belong to these vectors"):
        activate_version(team.catalog, "users", 1, T0)


def test_a_corrected_link_heals_all_chains_through_it(team: Team) -> None:
    assert team.errors(2)[0] > 1
    change = relink_version(team.catalog, "users", 1, artifact=team.folder / "b1")
    assert (change.changed, change.published.events[-1].forced) == (True, False)
    assert there(change.published.events[-1].gate)["passed"]
    assert team.errors(1)[0] < 1e-5
    assert max(team.errors(2).values()) < 1e-5
    assert not relink_version(team.catalog, "users", 1, artifact=team.folder / "b1").changed
    for version in (1, 2):
        assert activate_version(team.catalog, "users", version, T0).changed


def test_a_worse_link_is_refused(team: Team) -> None:
    relink_version(team.catalog, "users", 1, artifact=team.folder / "b1")
    before = team.catalog.published("users")
    with pytest.raises(QualityGateError, match=r"version 1 keeps its transformation.*--force"):
        relink_version(team.catalog, "users", 1, artifact=team.folder / "wrong")
    assert team.catalog.published("users") == before
    forced = relink_version(
        team.catalog, "users", 1, artifact=team.folder / "wrong", force=GATE_CHECKS
    )
    assert forced.published.events[-1].forced
    with pytest.raises(QualityGateError, match="2 -> 0"):
        activate_version(team.catalog, "users", 2, T0)


def test_newer_vectors_that_cannot_be_read_are_unknown(team: Team) -> None:
    (team.folder / "v2.parquet").unlink()
    assert relink_version(team.catalog, "users", 1, artifact=team.folder / "b1").changed
    assert team.errors(1)[0] < 1e-5
    with pytest.raises(QualityGateError, match="the alignment of 2 -> 1 is unknown"):
        activate_version(team.catalog, "users", 2, T0)


def test_what_does_not_fit(team: Team) -> None:
    save_artifact(affine(1, 4, 2), team.folder / "narrow")
    with pytest.raises(DimensionError, match="4 -> 3"):
        relink_version(team.catalog, "users", 1, artifact=team.folder / "narrow")
    with pytest.raises(DirectionError, match="takes a transformation 1 -> 0"):
        relink_version(team.catalog, "users", 1, artifact=team.folder / "b2")
    for name, version in (("users", 7), ("nobody", 1)):
        with pytest.raises(UnknownVersionError):
            relink_version(team.catalog, name, version, artifact=team.folder / "b1")
