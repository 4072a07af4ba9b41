"""What the gate before `activate` lets pass: maps that tell entities apart, and nothing else."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import ACTIVATE, PUBLISH
from feast_bc.cli.repo_source import parquet_source
from feast_bc.columns.arrays import Matrix
from feast_bc.contracts.activation import activate_version
from feast_bc.errors import QualityGateError
from feast_bc.posthoc import Moments, ridge
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.quality_gate import QualityGate
from feast_bc.publishing.refusal import CHECKS
from feast_bc.transforms import AffineTransform, BackwardTransform
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from tests.support.pairs import Hop
from tests.support.presence import there

T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOP: Hop = {"from_version": 1, "to_version": 0}
HOLDOUT = Holdout(0.2)
USERS = np.arange(500)
UNSEEN = HOLDOUT.contains(USERS)


def native(seed: int = 0) -> tuple[Matrix, Matrix]:
    """z_0 and z_1 of 6 dimensions: most of each vector is a mean that all users share."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(len(USERS), 6))
    z0 = own + 3
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    z1 = own @ turn + 0.1 * rng.normal(size=own.shape) - 5
    return z0.astype(np.float32), z1.astype(np.float32)


def fitted(vectors: Matrix, previous: Matrix) -> AffineTransform:
    found = Moments(vectors.shape[1], previous.shape[1])
    found.add(vectors, previous, ~UNSEEN)
    return ridge(found, **HOP)


def constant(z0: Matrix) -> AffineTransform:
    return AffineTransform(np.zeros((6, 6)), z0[~UNSEEN].mean(axis=0), **HOP)


def released(
    folder: Path,
    z0: Matrix,
    z1: Matrix,
    transform: BackwardTransform,
    users: npt.NDArray[np.int64] = USERS,
) -> EmbeddingCatalog:
    """A catalog with versions 0 and 1, the latter not active yet."""
    catalog = EmbeddingCatalog(folder / "catalog")
    for version, ids, vectors in ((0, USERS, z0), (1, users, z1)):
        frame = pd.DataFrame({"user_id": ids, "event_timestamp": T0, "embedding": list(vectors)})
        frame.to_parquet(folder / f"v{version}.parquet")
        artifact = None
        if version:
            artifact = save_artifact(transform, folder / "b1", holdout=HOLDOUT)
        publish_version(
            catalog,
            "users",
            version,
            source=parquet_source(str(folder / f"v{version}.parquet"), "v", "event_timestamp"),
            artifact=artifact,
            join_keys=["user_id"],
            force=CHECKS,
        )
    return catalog


def refusal(catalog: EmbeddingCatalog) -> str:
    with pytest.raises(QualityGateError) as refused:
        activate_version(catalog, "users", 1, T0)
    assert not catalog.version("users", 1).activations
    return str(refused.value)


def test_an_honest_map_passes(tmp_path: Path) -> None:
    z0, z1 = native()
    catalog = released(tmp_path, z0, z1, fitted(z1, z0))
    activate_version(catalog, "users", 1, T0)
    (measured,) = there(catalog.version("users", 1).events[-1].gate)["measured"]
    assert measured["on"] == "held_out"
    assert measured["centred_error"] < 0.25
    assert measured["error_of_mean"] == pytest.approx(1 / 10**0.5, abs=0.03)


def test_a_constant_fails_however_little_its_uncentred_error(tmp_path: Path) -> None:
    z0, z1 = native()
    map_ = constant(z0)
    uncentred = np.linalg.norm(map_.apply(z1) - z0) / np.linalg.norm(z0)
    assert uncentred < 0.33
    catalog = released(tmp_path, z0, z1, map_)
    held_out = catalog.version("users", 1).manifest.metrics["alignment"]["older"][0]["on_held_out"]
    assert held_out["cosine"] > 0.94
    assert held_out["centred_error"] == pytest.approx(1, abs=0.02)
    message = refusal(catalog)
    assert "centred error 1.0" in message
    assert "expected at most 0.5 (the mean vector alone has 1)" in message


def test_a_map_of_the_wrong_direction_fails(tmp_path: Path) -> None:
    z0, z1 = native()
    forward = fitted(z0, z1)  # 0 -> 1, said to be 1 -> 0
    assert "centred error" in refusal(released(tmp_path, z0, z1, forward))


def test_a_map_that_turns_about_the_mean_fails(tmp_path: Path) -> None:
    z0, z1 = native()
    right, mean = fitted(z1, z0), z0.mean(axis=0)
    turned = AffineTransform(-right.weight, 2 * mean - right.bias, **HOP)
    assert "centred error" in refusal(released(tmp_path, z0, z1, turned))


def test_what_tells_nothing_does_not_pass(tmp_path: Path) -> None:
    z0, z1 = native()
    (tmp_path / "same").mkdir()
    same = np.broadcast_to(z0[0], z0.shape)
    message = refusal(released(tmp_path / "same", same, z1, constant(same)))
    assert "the alignment of 1 -> 0 is unknown: version 0 has but one vector" in message
    (tmp_path / "apart").mkdir()
    apart = released(tmp_path / "apart", z0, z1, fitted(z1, z0), users=USERS + len(USERS))
    message = refusal(apart)
    assert "share no entity. Run the model of version 0 once more on entities" in message
    assert "transformation" not in message


def test_the_limit_is_the_teams_own(tmp_path: Path) -> None:
    z0, z1 = native()
    catalog = released(tmp_path, z0, z1, fitted(z1, z0))
    strict = QualityGate(max_centred_error=0.001)
    with pytest.raises(QualityGateError, match=r"expected at most 0\.001"):
        activate_version(catalog, "users", 1, T0, gate=strict)
    close = QualityGate(min_cosine=0.9999)
    with pytest.raises(QualityGateError, match=r"cosine .* expected at least 0\.9999"):
        activate_version(catalog, "users", 1, T0, gate=close)


def test_what_breaks_consumers_fails_however_little_the_error(tmp_path: Path) -> None:
    """One coordinate of little variance is turned and stretched: the error does not tell."""
    z0, z1 = native()
    z0[:, 0] *= 0.002
    right = fitted(z1, z0)
    weight, mean = right.weight.copy(), z0[:, 0].mean()
    weight[0] *= -50
    bias = there(right.bias).copy()
    bias[0] = mean - weight[0] @ z1.mean(axis=0)
    catalog = released(tmp_path, z0, z1, AffineTransform(weight, bias, **HOP))
    held_out = catalog.version("users", 1).manifest.metrics["alignment"]["older"][0]["on_held_out"]
    assert held_out["centred_error"] < 0.5
    with pytest.raises(QualityGateError, match=r"small trees consumers keep 0\.\d+ of their skill"):
        activate_version(catalog, "users", 1, T0, gate=QualityGate(min_agreement=0.9))
    activate_version(catalog, "users", 1, T0, gate=QualityGate(min_agreement=None))
    (measured,) = there(catalog.version("users", 1).events[-1].gate)["measured"]
    assert measured["probes"]["trees"] < 0.9


def test_what_is_active_already_is_not_measured_again(tmp_path: Path) -> None:
    z0, z1 = native()
    catalog = released(tmp_path, z0, z1, constant(z0))
    assert activate_version(catalog, "users", 1, T0, force=CHECKS).changed
    for active_from in (T0, None):
        assert not activate_version(catalog, "users", 1, active_from).changed
    with pytest.raises(QualityGateError):
        activate_version(catalog, "users", 1, T0 + timedelta(days=1))
    assert [event.event for event in catalog.version("users", 1).events] == [PUBLISH, ACTIVATE]
