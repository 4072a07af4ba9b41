"""Closed-form fits: each one is the optimum it claims to be."""

from collections.abc import Callable

import numpy as np
import pytest

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc import PENALTIES, Moments, choose, low_rank, procrustes, ridge
from feast_bc.posthoc.metric import multi_step_metric
from feast_bc.transforms import AffineTransform, MLPTransform, TruncationTransform
from tests.support.pairs import HOP, moments, normal, older, pairs
from tests.support.presence import there

VECTORS, PREVIOUS = pairs(80, 6, 4)
DATA = moments(VECTORS, PREVIOUS)


def close(one: AffineTransform, two: AffineTransform) -> None:
    np.testing.assert_allclose(one.weight, two.weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(there(one.bias), there(two.bias), rtol=1e-4, atol=1e-5)


def test_without_a_penalty_ridge_is_least_squares() -> None:
    inputs = np.column_stack([VECTORS, np.ones(80)])
    expected = np.linalg.lstsq(inputs, PREVIOUS, rcond=None)[0]
    found = ridge(DATA, **HOP)
    np.testing.assert_allclose(found.weight, expected[:-1].T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(there(found.bias), expected[-1], rtol=1e-4, atol=1e-5)
    linear = ridge(DATA, bias=False, **HOP)
    expected = np.linalg.lstsq(VECTORS, PREVIOUS, rcond=None)[0]
    np.testing.assert_allclose(linear.weight, expected.T, rtol=1e-4, atol=1e-5)
    assert linear.bias is None


def test_without_a_penalty_both_losses_have_one_optimum() -> None:
    close(ridge(DATA, older=older(), **HOP), ridge(DATA, **HOP))


@pytest.mark.parametrize("chain", [[], older()])
@pytest.mark.parametrize("bias", [True, False])
def test_ridge_is_the_optimum_of_its_loss(chain: list[AffineTransform], bias: bool) -> None:
    torch = pytest.importorskip("torch")
    found = ridge(DATA, penalty=0.1, bias=bias, older=chain, **HOP)
    weight = torch.tensor(found.weight, dtype=torch.float64, requires_grad=True)
    offset = torch.tensor(found.bias if bias else np.zeros(4), dtype=torch.float64)
    offset.requires_grad_(bias)
    metric = torch.from_numpy(multi_step_metric(chain, 4))
    vectors, previous = torch.from_numpy(VECTORS), torch.from_numpy(PREVIOUS)
    residual = previous - vectors @ weight.T - offset
    scale = vectors.var(dim=0, correction=0).mean() if bias else vectors.square().mean()
    fit = (residual @ metric * residual).sum(dim=1).mean()
    (fit + 0.1 * scale * weight.square().sum()).backward()
    # The result is rounded to float32.
    assert weight.grad.abs().max() < 1e-4 * float(fit.detach()) ** 0.5
    if bias:
        assert offset.grad.abs().max() < 1e-4 * float(fit.detach()) ** 0.5


def test_the_metric_is_the_multi_step_loss() -> None:
    torch = pytest.importorskip("torch")
    from feast_bc.alignment import frozen_map, multi_step_loss

    chain = [*older(), TruncationTransform(from_version=1, to_version=0, from_dim=3, to_dim=2)]
    metric = multi_step_metric(chain, 4)
    zero = torch.zeros(80, 4)
    losses = []
    for rows in (PREVIOUS, PREVIOUS**2):
        residual = torch.from_numpy(rows).float()
        loss = float(multi_step_loss(zero, residual, [frozen_map(b) for b in chain]))
        losses.append(loss / (rows @ metric * rows).sum())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert np.trace(metric) == pytest.approx(4)
    np.testing.assert_allclose(multi_step_metric([], 4), np.eye(4))


def test_with_a_penalty_each_loss_has_its_own_optimum() -> None:
    fits = [ridge(DATA, penalty=0.3, older=o, **HOP) for o in ((), older())]
    scale = 0.3 * VECTORS.var(axis=0).mean()
    for own, other, metric in zip(
        fits, fits[::-1], (None, multi_step_metric(older(), 4)), strict=True
    ):
        losses = [
            DATA.squared_error(fit, metric) / 80 + scale * (fit.weight**2).sum()
            for fit in (own, other)
        ]
        assert losses[0] < losses[1] * 0.99


def test_deficient_vectors_get_the_smallest_weights() -> None:
    vectors = normal(30, 2) @ normal(2, 6, seed=1)
    found = ridge(moments(vectors, vectors[:, :2]), **HOP)
    np.testing.assert_allclose(found.apply(vectors), vectors[:, :2], atol=1e-5)
    assert np.linalg.norm(found.weight) < 2


def test_constant_vectors_are_mapped_to_the_mean() -> None:
    found = ridge(moments(np.ones((10, 3)), PREVIOUS[:10]), **HOP)
    assert (found.weight == 0).all()
    np.testing.assert_allclose(there(found.bias), PREVIOUS[:10].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.2])
def test_full_rank_is_ridge(penalty: float) -> None:
    close(low_rank(DATA, 4, penalty=penalty, **HOP), ridge(DATA, penalty=penalty, **HOP))


@pytest.mark.parametrize("chain", [[], older()])
def test_low_rank_is_the_best_of_its_rank(chain: list[AffineTransform]) -> None:
    """Alternating least squares for W = A C from many starts finds nothing better."""
    metric = multi_step_metric(chain, 4)
    root = np.linalg.cholesky(metric)
    found = low_rank(DATA, 2, older=chain, **HOP)
    assert np.linalg.matrix_rank(found.weight, tol=1e-4) == 2
    x, y = VECTORS - VECTORS.mean(axis=0), (PREVIOUS - PREVIOUS.mean(axis=0)) @ root
    best = np.inf
    for seed in range(5):
        outer = normal(2, 4, seed=seed)
        for _ in range(200):
            inner = np.linalg.lstsq(x, y @ np.linalg.pinv(outer), rcond=None)[0]
            outer = np.linalg.lstsq(x @ inner, y, rcond=None)[0]
        best = min(best, ((y - x @ inner @ outer) ** 2).sum())
    assert DATA.squared_error(found, metric) == pytest.approx(best, rel=1e-4)


def test_low_rank_multi_step_serves_the_oldest_space_better() -> None:
    single, multi = (low_rank(DATA, 1, older=o, **HOP) for o in ((), older()))
    metric = multi_step_metric(older(), 4)
    assert DATA.squared_error(multi, metric) < DATA.squared_error(single, metric)


@pytest.mark.parametrize("dims", [(5, 5), (3, 5)])
def test_procrustes_finds_a_rotation(dims: tuple[int, int]) -> None:
    rotation = np.linalg.qr(normal(5, 5, seed=7))[0][:, : dims[0]]
    vectors = normal(50, dims[0]) + 4
    previous = vectors @ rotation.T - 7
    found = procrustes(moments(vectors, previous), **HOP)
    np.testing.assert_allclose(found.weight, rotation, atol=1e-5)
    np.testing.assert_allclose(there(found.bias), np.full(5, -7), atol=1e-4)


def test_procrustes_into_fewer_dimensions_finds_a_rotation_that_is_cut() -> None:
    """The cut coordinates are constant, so that nothing is lost."""
    rotation = np.linalg.qr(normal(5, 5, seed=7))[0]
    latent = np.column_stack([normal(50, 3), np.full((50, 2), 2.0)])
    found = procrustes(moments(latent @ rotation, latent[:, :3]), **HOP)
    np.testing.assert_allclose(found.apply(latent @ rotation), latent[:, :3], atol=1e-5)
    np.testing.assert_allclose(found.weight @ found.weight.T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("dims", [(6, 4), (4, 4), (4, 6)])
def test_procrustes_never_amplifies(dims: tuple[int, int]) -> None:
    found = procrustes(moments(*pairs(80, *dims)), **HOP)
    np.testing.assert_allclose(np.linalg.svd(found.weight)[1], np.ones(min(dims)), atol=1e-5)


def test_the_penalty_is_chosen_on_held_out_entities() -> None:
    vectors, previous = pairs(60, 40, 4, noise=8.0)
    held_out = np.arange(60) % 5 == 0
    more, truth = pairs(2000, 40, 4, noise=0.0)
    fit, unseen = Moments.split([(vectors, previous, held_out)], from_dim=40, to_dim=4)
    candidates = [ridge(fit, penalty=p, **HOP) for p in PENALTIES]
    chosen = choose(candidates, unseen)
    errors = [there(unseen.centred_error(c)) for c in candidates]
    assert unseen.centred_error(chosen) == min(errors)
    population = moments(more, truth)
    assert there(population.centred_error(chosen)) < there(population.centred_error(candidates[0]))


def test_the_choice_may_weigh_the_older_spaces() -> None:
    candidates = [low_rank(DATA, 1, older=o, **HOP) for o in ((), older())]
    assert choose(candidates, DATA) is candidates[0]
    assert choose(candidates, DATA, older()) is candidates[1]


def test_a_choice_needs_held_out_entities() -> None:
    with pytest.raises(InvalidVectorsError, match="No held-out entity"):
        choose([ridge(DATA, **HOP)], Moments(6, 4))


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda: ridge(DATA, penalty=-1, **HOP), ValueError, "at least 0, got -1"),
        (lambda: low_rank(DATA, 1, penalty=-1, **HOP), ValueError, "at least 0, got -1"),
        (lambda: low_rank(DATA, 5, **HOP), DimensionError, "rank from 1 to 4, got 5"),
        (lambda: ridge(Moments(2, 2), **HOP), InvalidVectorsError, "no pair of vectors"),
        (
            lambda: ridge(DATA, older=older() * 2, **HOP),
            DimensionError,
            "takes 4 dimensions and gets 3.*newest first",
        ),
        (
            lambda: ridge(
                DATA,
                older=[MLPTransform([(np.ones((2, 4)), np.ones(2))], from_version=1, to_version=0)],
                **HOP,
            ),
            TypeError,
            "not affine.*fit_mlp",
        ),
    ],
)
def test_impossible_fits_are_named(
    fit: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit()
