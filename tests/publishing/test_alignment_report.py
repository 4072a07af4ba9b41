import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from feast import FileSource

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import DimensionError, FeastBCError, InvalidVectorsError
from feast_bc.native.native_vectors import NativeVectors, read_native_vectors
from feast_bc.publishing.alignment import Alignment, AlignmentReport
from feast_bc.publishing.alignment_report import alignment_report
from feast_bc.publishing.centred_error import centred_error
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms import AffineTransform, compose
from feast_bc.transforms.holdout import Holdout
from tests.support.links import affine
from tests.support.presence import there

T0 = pd.Timestamp("2026-01-01", tz="UTC")
HOP = affine(2, 4, 3, seed=2)
CHAINS = [HOP, compose([HOP, affine(1, 3, 2, seed=1)])]


def native(
    tmp_path: Path,
    name: str,
    keys: Sequence[int] | npt.NDArray[Any],
    vectors: Matrix,
    *,
    stamps: Sequence[datetime] | None = None,
) -> NativeVectors:
    path = tmp_path / f"{name}.parquet"
    frame = pd.DataFrame(
        {"id": keys, "ts": stamps if stamps is not None else T0, "embedding": list(vectors)}
    )
    frame.to_parquet(path)
    source = FileSource(name=name, path=str(path), timestamp_field="ts")
    return read_native_vectors(source, join_keys=["id"])


def random(count: int, dim: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def definition(mapped: Matrix, target: Matrix) -> tuple[float, float, float]:
    """The three numbers, straight from their definitions."""
    spread = np.linalg.norm(target - target.mean(axis=0))
    norms = np.linalg.norm(mapped, axis=1) * np.linalg.norm(target, axis=1)
    return (
        np.linalg.norm(mapped - target) / spread,
        spread / np.linalg.norm(target),
        np.mean((mapped * target).sum(axis=1) / norms),
    )


def test_hop_and_chain_on_all_and_on_held_out_entities(tmp_path: Path) -> None:
    z2, z1, z0 = random(300, 4, 2), random(250, 3, 1), random(200, 2, 0)
    # Shuffled, typed otherwise, and only partly the same entities.
    order = np.random.default_rng(5).permutation(250)
    newest = native(tmp_path, "v2", np.arange(300), z2)
    older = {
        1: native(tmp_path, "v1", (np.arange(250) + 100)[order].astype(str), z1[order]),
        0: native(tmp_path, "v0", np.arange(200) + 200, z0),
    }
    holdout = Holdout(0.3)
    report = alignment_report(newest, CHAINS, older, holdout=holdout)
    assert (report.version, report.entities) == (2, 300)
    assert [entry.version for entry in report.older] == [1, 0]
    expected = [
        (CHAINS[0], np.arange(100, 300), z1[:200]),
        (CHAINS[1], np.arange(200, 300), z0[:100]),
    ]
    for entry, (chain, keys, target) in zip(report.older, expected, strict=True):
        mapped = chain.apply(z2[keys])
        unseen = holdout.contains(keys)
        assert entry.common == there(entry.on_all).entities == len(keys)
        assert there(entry.on_held_out).entities == unseen.sum() > 0
        for found, rows in ((entry.on_all, slice(None)), (entry.on_held_out, unseen)):
            assert found is not None
            numbers = [there(found.centred_error), there(found.error_of_mean), there(found.cosine)]
            defined = definition(mapped[rows], target[rows])
            np.testing.assert_allclose(numbers, defined, 1e-5)
        assert entry.decisive == ("held_out", entry.on_held_out)
        assert entry.note is None


def test_what_consumers_look_at(tmp_path: Path) -> None:
    keys, holdout = np.arange(600), Holdout(0.3)
    z2 = random(600, 4, 2)
    z1 = HOP.apply(z2) + 0.2 * random(600, 3, 1)
    z0 = CHAINS[1].apply(z2)
    z0[:240] = 0
    z0[240:] += 50
    older = {1: native(tmp_path, "v1", keys, z1), 0: native(tmp_path, "v0", keys, z0)}
    before = affine(1, 3, 2, seed=1)
    report = alignment_report(
        native(tmp_path, "v2", keys, z2), CHAINS, older, holdout=holdout, previous=[before]
    )
    first, second = report.older
    unseen = holdout.contains(keys)
    assert first.probes == probe_suite(z1, HOP.apply(z2), judged=unseen)
    assert 0.8 < there(there(first.probes).agreement) < 1
    assert first.previous_error is None
    assert second.previous_error == pytest.approx(
        centred_error(before.apply(z1[unseen]), z0[unseen]), rel=1e-5
    )
    held_out = there(first.on_held_out)
    assert 0.3 < there(held_out.neighbour_overlap) < 1
    assert 0.9 < there(held_out.dot_product_correlation) < 1
    assert held_out.r_squared == 1 - there(held_out.centred_error) ** 2
    assert there(second.singular_values) == pytest.approx(
        np.linalg.svd(there(CHAINS[1].as_affine()).weight, compute_uv=False)[[0, -1]], rel=1e-5
    )
    assert first.near_zero == 0.0
    assert there(first.mean_dominated) < 0.1
    assert first.warnings == ()
    assert (second.near_zero, second.mean_dominated) == (0.4, 0.0)
    assert "40% of the vectors of version 0 are near zero" in second.warnings[0]


def test_vectors_that_are_little_more_than_their_mean(tmp_path: Path) -> None:
    z1 = random(60, 4, 0) + 30
    older = {1: native(tmp_path, "v1", range(60), random(60, 3, 1) + 30)}
    (entry,) = alignment_report(native(tmp_path, "v2", range(60), z1), [HOP], older).older
    assert entry.mean_dominated == 1.0
    assert entry.warnings[0].startswith("100% of the vectors of version 1 are little more than")


def test_a_report_of_an_older_release_is_read() -> None:
    stored = {
        "version": 1,
        "entities": 3,
        "older": [
            {
                "version": 0,
                "common": 3,
                "on_all": {
                    "entities": 3,
                    "centred_error": 0.1,
                    "error_of_mean": 0.5,
                    "cosine": 0.9,
                },
                "on_held_out": None,
                "note": None,
            }
        ],
    }
    (entry,) = AlignmentReport.from_json(stored, of="report").older
    assert entry.on_all == Alignment(3, 0.1, 0.5, 0.9)
    assert (entry.probes, entry.singular_values, entry.warnings) == (None, None, ())


def test_json_round_trip(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(50), random(50, 4, 0))
    older: dict[int, NativeVectors | FeastBCError] = {
        1: native(tmp_path, "v1", range(50), random(50, 3, 1)),
        0: InvalidVectorsError("deleted"),
    }
    for holdout in (None, Holdout()):
        report = alignment_report(newest, CHAINS, older, holdout=holdout)
        text = json.dumps(report.to_json(), allow_nan=False)
        assert AlignmentReport.from_json(json.loads(text), of="report") == report


def test_a_perfect_transformation(tmp_path: Path) -> None:
    z = random(40, 4, 0)
    newest = native(tmp_path, "v2", range(40), z)
    older = {1: native(tmp_path, "v1", range(40), HOP.apply(z))}
    (entry,) = alignment_report(newest, [HOP], older).older
    assert there(entry.on_all).centred_error == pytest.approx(0, abs=1e-6)
    assert there(entry.on_all).cosine == pytest.approx(1)
    assert entry.on_held_out is None
    assert "declares no holdout" in there(entry.note)
    assert entry.decisive == ("all", entry.on_all)


def test_the_newest_row_of_an_entity_is_compared(tmp_path: Path) -> None:
    z = random(4, 4, 0)
    stamps = [T0 + pd.Timedelta(days=d) for d in (2, 0, 1, 0)]
    newest = native(tmp_path, "v2", [1, 1, 2, 2], z, stamps=stamps)
    older = {1: native(tmp_path, "v1", [2, 1], HOP.apply(z[[2, 0]]))}
    (entry,) = alignment_report(newest, [HOP], older).older
    assert entry.common == 2
    assert there(entry.on_all).centred_error == pytest.approx(0, abs=1e-6)


def test_the_sample_is_capped_and_fixed(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(500), random(500, 4, 0))
    older = {
        1: native(tmp_path, "v1", range(500), random(500, 3, 1)),
        0: native(tmp_path, "v0", range(500), random(500, 2, 2)),
    }
    reports = [alignment_report(newest, CHAINS, older, cap=60) for _ in range(2)]
    assert reports[0] == reports[1]
    for entry in reports[0].older:
        assert (entry.common, there(entry.on_all).entities) == (500, 60)


def test_nothing_in_common(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(5), random(5, 4, 0))
    older = {1: native(tmp_path, "v1", range(10, 15), random(5, 3, 1))}
    (entry,) = alignment_report(newest, [HOP], older, holdout=Holdout()).older
    assert entry.on_all == Alignment(0)
    assert "share no entity" in there(entry.note)


def test_old_vectors_that_are_gone(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(5), random(5, 4, 0))
    (entry,) = alignment_report(newest, [HOP], {1: InvalidVectorsError("v1 is deleted")}).older
    assert entry.note == "unknown: v1 is deleted"
    assert entry.decisive[1].centred_error is None


def test_zero_vectors_are_no_nan(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(3), np.zeros((3, 4), np.float32))
    older = {1: native(tmp_path, "v1", range(3), np.zeros((3, 3), np.float32))}
    linear = affine(2, 4, 3, bias=False)
    (entry,) = alignment_report(newest, [linear], older).older
    assert entry.on_all == Alignment(3)


def test_a_zero_vector_has_no_direction(tmp_path: Path) -> None:
    """It does not lower the mean cosine of a map that is right; a map to zero does."""
    vectors = random(40, 3, 0)
    vectors[:10] = 0
    native_older = {1: native(tmp_path, "v1", range(40), vectors)}
    newest = native(tmp_path, "v2", range(40), vectors)
    same = AffineTransform(np.eye(3), from_version=2, to_version=1)
    (entry,) = alignment_report(newest, [same], native_older).older
    assert there(entry.on_all).cosine == pytest.approx(1)
    nothing = AffineTransform(np.zeros((3, 3)), from_version=2, to_version=1)
    (entry,) = alignment_report(newest, [nothing], native_older).older
    assert there(entry.on_all).cosine == 0


def test_vectors_that_are_all_equal_tell_nothing(tmp_path: Path) -> None:
    keys = np.arange(30)
    holdout = Holdout(0.3)
    newest = native(tmp_path, "v2", keys, random(30, 4, 0))
    same = {1: native(tmp_path, "v1", keys, np.full((30, 3), 0.1, np.float32))}
    (entry,) = alignment_report(newest, [HOP], same, holdout=holdout).older
    unseen = int(holdout.contains(keys).sum())
    assert (there(entry.on_all).centred_error, there(entry.on_all).error_of_mean) == (None, 0.0)
    assert "one vector" in there(entry.note)
    assert f"held-out entities: {unseen})" in there(entry.note)
    # Of a single held-out entity the mean is its own vector.
    one = keys[holdout.contains(keys)][:1]
    lonely = np.concatenate([keys[~holdout.contains(keys)], one])
    few = {1: native(tmp_path, "few", lonely, random(len(lonely), 3, 1))}
    (entry,) = alignment_report(newest, [HOP], few, holdout=holdout).older
    assert there(entry.on_all).centred_error is not None
    assert entry.decisive[1].centred_error is None
    assert "held-out entities: 1)" in there(entry.note)


def test_version_0_has_nothing_to_compare(tmp_path: Path) -> None:
    newest = native(tmp_path, "v0", range(3), random(3, 4, 0))
    assert alignment_report(newest, [], {}).older == ()


def test_a_chain_that_does_not_fit(tmp_path: Path) -> None:
    newest = native(tmp_path, "v2", range(3), random(3, 7, 0))
    older = {1: native(tmp_path, "v1", range(3), random(3, 3, 0))}
    with pytest.raises(DimensionError, match="takes a matrix"):
        alignment_report(newest, [HOP], older)
