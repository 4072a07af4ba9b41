"""A fit in one call: what it leaves out, what it chooses, what it reports and saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feast_bc.errors import ArtifactError, DimensionError, InvalidVectorsError
from feast_bc.posthoc import PENALTIES, Fitted, centred_error, fit, ridge
from feast_bc.transforms.artifact import load_artifact
from feast_bc.transforms.holdout import Holdout
from tests.support.pairs import moments, normal, older, pairs
from tests.support.presence import there

NEW, OLD = pairs(900, 6, 4)
IDS = [f"u{i}" for i in range(900)]
UNSEEN = Holdout().contains(IDS)
ASIDE = Holdout(0.1, "feast-bc, choice").contains(IDS)
LAST = ~ASIDE


def fitted(**options: Any) -> Fitted:
    return fit(NEW, OLD, from_version=2, **{"ids": IDS, **options})


def test_the_held_out_are_seen_by_nobody() -> None:
    expected = fitted()
    changed = np.where(UNSEEN[:, None], 100 * normal(900, 4, seed=9), OLD)
    found = fit(NEW, changed, from_version=2, ids=IDS)
    np.testing.assert_array_equal(found.transform.weight, expected.transform.weight)
    assert found.report.penalty == expected.report.penalty
    assert there(found.report.centred_error) > there(expected.report.centred_error)


def test_the_chosen_penalty_is_fitted_to_all_others() -> None:
    found = fitted(penalties=PENALTIES)
    chosen = ridge(
        moments(NEW[~UNSEEN], OLD[~UNSEEN]),
        from_version=2,
        to_version=1,
        penalty=found.report.penalty,
    )
    np.testing.assert_allclose(found.transform.weight, chosen.weight, rtol=1e-5, atol=1e-6)
    assert (found.report.fitted, found.report.held_out) == ((~UNSEEN).sum(), UNSEEN.sum())
    error = centred_error(found.transform.apply(NEW[UNSEEN]), OLD[UNSEEN])
    assert found.report.centred_error == pytest.approx(error, rel=1e-4)
    assert found.report.r_squared == pytest.approx(1 - there(error) ** 2, rel=1e-3)
    assert min(found.report.probes.by_kind.values()) > 0.9


def test_rows_without_a_previous_vector_count_for_nothing() -> None:
    present = np.arange(900) % 5 > 0
    hidden = np.where(present[:, None], OLD, np.nan)
    found = fit(NEW, hidden, present, from_version=2, ids=IDS)
    one = fit(NEW[present], OLD[present], from_version=2, ids=np.array(IDS)[present])
    np.testing.assert_allclose(found.transform.weight, one.transform.weight, rtol=1e-5, atol=1e-6)
    assert found.report.fitted == one.report.fitted


def test_the_artifact_declares_who_was_left_out(tmp_path: Path) -> None:
    found = fitted()
    transform, manifest = load_artifact(found.save(tmp_path / "b2"))
    np.testing.assert_array_equal(transform.apply(NEW), found.transform.apply(NEW))
    assert there(manifest.holdout).as_holdout() == Holdout()
    assert manifest.metrics["penalty"] == found.report.penalty
    assert manifest.metrics["probes"]["trees"] == found.report.probes.trees
    with pytest.raises(ArtifactError, match="exists already"):
        found.save(tmp_path / "b2")
    _, without = load_artifact(fitted(ids=None).save(tmp_path / "without"))
    assert without.holdout is None


def test_ids_of_numpy_are_those_of_the_catalog() -> None:
    ids = list(range(900))
    one, two = fitted(ids=ids), fitted(ids=np.array(ids))
    np.testing.assert_array_equal(one.transform.weight, two.transform.weight)


def test_older_maps_weigh_the_penalty() -> None:
    chain = older()
    found = fitted(older=chain, penalties=[0.5])
    pairs_ = moments(NEW[~UNSEEN], OLD[~UNSEEN])
    expected = ridge(pairs_, from_version=2, to_version=1, penalty=0.5, older=chain)
    np.testing.assert_allclose(found.transform.weight, expected.weight, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found.transform.weight, fitted(penalties=[0.5]).transform.weight)
    assert fitted(bias=False).transform.bias is None


def test_the_report_says_it_in_words() -> None:
    told = str(fitted(penalties=[0.0]).report)
    assert told.startswith("Fitted on 8")
    assert "held-out entities the centred error is 0.1" in told
    assert "trees 0.9" in told or "trees 1.0" in told


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"ids": IDS[1:]}, DimensionError, "one id for each of the 900 rows; got 899"),
        ({"penalties": PENALTIES, "present": LAST}, InvalidVectorsError, "is left to choose by"),
        ({"penalties": []}, ValueError, "at least one penalty"),
        ({"present": np.zeros(900, bool)}, InvalidVectorsError, "none of 0 entities .* to fit on"),
        ({"present": UNSEEN}, InvalidVectorsError, "is left to fit on"),
        ({"present": ~UNSEEN}, InvalidVectorsError, "is left to report on"),
    ],
)
def test_refusals(wrong: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        fitted(**wrong)


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(DimensionError, match=r"got shapes \(900,\) and \(900, 4\)"):
        fit(NEW[:, 0], OLD, from_version=2)
    with pytest.raises(DimensionError, match="the same entities in both"):
        fit(NEW[1:], OLD, from_version=2)
