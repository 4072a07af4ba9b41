"""Moments: batches do not matter, masks do, errors are those of the vectors."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc import Moments, centred_error, ridge
from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    MLPTransform,
    TruncationTransform,
    compose,
)
from feast_bc.transforms.holdout import Holdout
from tests.support.pairs import HOP, moments, normal, pairs
from tests.support.presence import there


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=6), st.floats(0, 1e4))
def test_streaming_is_as_in_memory(cuts: list[int], offset: float) -> None:
    vectors, previous = pairs(40, 5, 3)
    vectors += offset
    streamed, at_once = Moments(5, 3), moments(vectors, previous)
    for rows in np.split(np.arange(40), sorted(cuts)):
        streamed.add(vectors[rows], previous[rows])
    assert streamed.count == at_once.count == 40
    for some, all_ in zip(
        streamed.products(centred=True), at_once.products(centred=True), strict=True
    ):
        np.testing.assert_allclose(some, all_, rtol=1e-8, atol=1e-7)
    found, expected = ridge(streamed, penalty=1e-3, **HOP), ridge(at_once, penalty=1e-3, **HOP)
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
def test_products(centred: bool) -> None:
    vectors, previous = pairs(40, 5, 3)
    gram, cross = moments(vectors, previous).products(centred=centred)
    if centred:
        vectors, previous = vectors - vectors.mean(axis=0), previous - previous.mean(axis=0)
    np.testing.assert_allclose(gram, vectors.T @ vectors)
    np.testing.assert_allclose(cross, vectors.T @ previous)


def test_rows_outside_the_mask_count_for_nothing() -> None:
    vectors, previous = pairs(40, 5, 3)
    mask = np.arange(40) % 3 > 0
    expected = moments(vectors[mask], previous[mask])
    previous[~mask] = np.nan
    found = Moments(5, 3)
    found.add(vectors, previous, mask)
    np.testing.assert_array_equal(
        found.products(centred=True)[1], expected.products(centred=True)[1]
    )


def test_split_by_holdout() -> None:
    vectors, previous = pairs(300, 5, 3)
    ids, holdout = np.arange(300), Holdout(0.3)
    batches = [
        (vectors[rows], previous[rows], holdout.contains(ids[rows]))
        for rows in np.array_split(ids, 4)
    ]
    fit, held_out = Moments.split(batches, from_dim=5, to_dim=3)
    unseen = holdout.contains(ids)
    assert (fit.count, held_out.count) == ((~unseen).sum(), unseen.sum())
    transform = ridge(fit, **HOP)
    expected = centred_error(transform.apply(vectors[unseen]), previous[unseen])
    assert held_out.centred_error(transform) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "transform",
    [
        AffineTransform(normal(3, 5), normal(3), **HOP),
        AffineTransform(normal(3, 5), **HOP),
        TruncationTransform(**HOP, from_dim=5, to_dim=3),
    ],
)
def test_errors_are_those_of_the_vectors(transform: BackwardTransform) -> None:
    vectors, previous = pairs(40, 5, 3)
    found = moments(vectors, previous)
    residual = previous - transform.apply(vectors)
    metric = np.diag([1.0, 2.0, 3.0])
    assert found.squared_error(transform) == pytest.approx((residual**2).sum(), rel=1e-5)
    weighted = (residual**2 @ [1, 2, 3]).sum()
    assert found.squared_error(transform, metric) == pytest.approx(weighted, rel=1e-5)
    expected = centred_error(transform.apply(vectors), previous)
    assert found.centred_error(transform) == pytest.approx(expected, rel=1e-5)


def test_a_direct_fit_beats_the_chain_on_what_it_was_fitted_on() -> None:
    z2, z1 = pairs(200, 6, 4, noise=1.0)
    z0 = np.tanh(z1 @ normal(4, 3, seed=5) / 4)
    first = ridge(moments(z1, z0), from_version=1, to_version=0)
    chain = compose([ridge(moments(z2, z1), **HOP), first])
    both = moments(z2, z0)
    direct = ridge(both, from_version=2, to_version=0)
    assert (direct.from_version, direct.to_version) == (chain.from_version, chain.to_version)
    assert there(both.centred_error(direct)) < there(both.centred_error(chain))


def test_bad_batches_are_named_and_not_counted() -> None:
    vectors, previous = pairs(4, 5, 3)
    found = Moments(5, 3)
    with pytest.raises(DimensionError, match=r"\(n, 5\).*\(n, 3\).*got \(4, 3\) and \(4, 5\)"):
        found.add(previous, vectors)
    with pytest.raises(DimensionError, match=r"bool mask of shape \(4,\), got int64"):
        found.add(vectors, previous, np.arange(4))  # type: ignore[arg-type]
    previous[2, 1] = np.nan
    with pytest.raises(InvalidVectorsError, match=r"1 of 4 pairs hold NaN.*with a mask"):
        found.add(vectors, previous)
    assert found.count == 0
    with pytest.raises(InvalidVectorsError, match="no pair of vectors to fit"):
        found.products(centred=True)


def test_the_error_of_what_does_not_fit_is_refused() -> None:
    found = moments(*pairs(4, 5, 3))
    layer = (np.ones((3, 5)), np.ones(3))
    with pytest.raises(TypeError, match=r"not affine.*centred_error"):
        found.centred_error(MLPTransform([layer], **HOP))
    with pytest.raises(DimensionError, match="does not fit moments of 5 -> 3"):
        found.centred_error(TruncationTransform(**HOP, from_dim=4, to_dim=3))
