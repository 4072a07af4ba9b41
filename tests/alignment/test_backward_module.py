"""Trainable backward transformations: where they start, and that they leave as they are."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from feast_bc.alignment import (
    BackwardMap,
    BackwardMLP,
    BackwardModule,
    BackwardTruncation,
    frozen_map,
    multi_step_loss,
    single_step_loss,
)
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.transforms import ChainTransform, MLPTransform, compose
from tests.support.presence import there
from tests.support.tensors import normal

OLDER = {"single": [], "multi": [normal(3, 4, seed=2), normal(2, 3, seed=3)]}


def modules() -> list[BackwardModule]:
    return [
        BackwardMap(6, 4),
        BackwardMap(6, 4, bias=False),
        BackwardTruncation(6, 4),
        BackwardMLP(6, 4, hidden=[9]),
        BackwardMLP(6, 4, hidden=[9, 5]),
    ]


def test_shapes() -> None:
    for module in modules():
        assert module(normal(7, 6).float()).shape == (7, 4)
        assert module(normal(0, 6).float()).shape == (0, 4)
        assert (module.from_dim, module.to_dim) == (6, 4)
        assert "6 -> 4" in repr(module)


@pytest.mark.parametrize("make", [BackwardMap, lambda *d, **k: BackwardMLP(*d, hidden=[8], **k)])
def test_initial_values_follow_the_generator_and_the_papers_bound(
    make: Callable[..., BackwardMap | BackwardMLP],
) -> None:
    one, two = (make(16, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)
    assert next(one.parameters()).abs().max() <= 1 / 4


@pytest.mark.parametrize("dims", [(5, 5), (6, 4), (3, 5)])
@pytest.mark.parametrize("hidden", [None, [10], [12, 11]])
def test_the_identity_is_exact(dims: tuple[int, int], hidden: list[int] | None) -> None:
    module = BackwardMLP(*dims, hidden=hidden) if hidden else BackwardMap(*dims)
    module.set_identity()
    vectors = normal(20, dims[0]).float() * 1e3
    common = min(dims)
    mapped = module(vectors)
    assert torch.equal(mapped[:, :common], vectors[:, :common])
    assert (mapped[:, common:] == 0).all()


def test_the_identity_is_what_truncation_does() -> None:
    module, vectors = BackwardMap(6, 4, bias=False), normal(5, 6).float()
    module.set_identity()
    assert torch.equal(module(vectors), BackwardTruncation(6, 4)(vectors))


@pytest.mark.parametrize("steps", OLDER)
@pytest.mark.parametrize("bias", [True, False])
def test_least_squares_is_the_optimum_of_either_loss(bias: bool, steps: str) -> None:
    vectors, previous = normal(50, 6), normal(50, 4, seed=1) + 3
    present = torch.arange(50) % 5 > 0
    previous[~present] = torch.nan
    module = BackwardMap(6, 4, bias=bias).double()
    module.fit_least_squares(vectors, previous, present)
    multi_step_loss(module(vectors), previous, OLDER[steps], present).backward()  # type: ignore[no-untyped-call]
    for parameter in module.parameters():
        assert there(parameter.grad).abs().max() < 1e-10


def test_gradient_descent_arrives_at_least_squares() -> None:
    vectors, previous = normal(50, 3), normal(50, 2, seed=1) + 3
    closed, descended = BackwardMap(3, 2).double(), BackwardMap(3, 2).double()
    closed.fit_least_squares(vectors, previous)
    optimizer = torch.optim.LBFGS(
        descended.parameters(), max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-15
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = single_step_loss(descended(vectors), previous)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(descended.weight, closed.weight, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(descended.bias, closed.bias, rtol=1e-5, atol=1e-7)


def test_least_squares_finds_the_smallest_map_of_deficient_vectors() -> None:
    vectors = normal(20, 2) @ normal(2, 6, seed=1)
    module = BackwardMap(6, 2, bias=False).double()
    module.fit_least_squares(vectors, vectors[:, :2])
    torch.testing.assert_close(module(vectors), vectors[:, :2])
    assert module.weight.norm() < 2


@pytest.mark.parametrize("hidden", [[8], [20, 9]])
def test_an_mlp_starts_as_the_least_squares_map_and_learns_on(hidden: list[int]) -> None:
    vectors = normal(200, 6)
    previous = vectors[:, :4].abs()
    affine, mlp = BackwardMap(6, 4).double(), BackwardMLP(6, 4, hidden=hidden).double()
    affine.fit_least_squares(vectors, previous)
    mlp.fit_least_squares(vectors, previous)
    torch.testing.assert_close(mlp(vectors), affine(vectors))
    optimizer = torch.optim.Adam(mlp.parameters(), lr=0.02)
    start = single_step_loss(affine(vectors), previous).detach()
    for _ in range(100):
        optimizer.zero_grad()
        single_step_loss(mlp(vectors), previous).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert single_step_loss(mlp(vectors), previous) < start / 2


def test_least_squares_of_what_does_not_fit_is_refused() -> None:
    module, vectors = BackwardMap(6, 4).double(), normal(5, 6)
    with pytest.raises(DimensionError, match=r"expected.*\(5, 6\).*\(5, 4\); got.*\(5, 1\)"):
        module.fit_least_squares(vectors, normal(5, 1))
    with pytest.raises(InvalidVectorsError, match="no entity to fit on"):
        module.fit_least_squares(vectors, normal(5, 4), torch.zeros(5, dtype=torch.bool))


def test_a_narrow_mlp_cannot_start_as_an_affine_map() -> None:
    with pytest.raises(DimensionError, match=r"7 units; expected at least 8 \(2 x 4\)"):
        BackwardMLP(6, 4, hidden=[9, 7]).set_identity()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackwardMap(0, 2), "BackwardMap: dimensions must be at least 1, got 0 -> 2"),
        (lambda: BackwardTruncation(2, 3), "cannot grow a vector from 2 to 3"),
        (lambda: BackwardMLP(2, 3, hidden=[]), "at least 1 hidden layer"),
    ],
)
def test_impossible_dimensions_are_named(
    make: Callable[..., BackwardMap | BackwardMLP], message: str
) -> None:
    with pytest.raises(DimensionError, match=message):
        make()


def test_export_and_freezing_keep_the_map() -> None:
    vectors = normal(50, 6).float()
    for module in modules():
        transform = module.export(from_version=2, to_version=1)
        expected = module(vectors).detach()
        np.testing.assert_allclose(transform.apply(vectors.numpy()), expected, rtol=1e-5, atol=1e-6)
        frozen = frozen_map(transform)
        assert type(frozen) is type(module)
        assert torch.equal(frozen(vectors), expected)
        assert not any(p.requires_grad for p in frozen.parameters())


def test_exports_compose() -> None:
    newer, older = BackwardMap(6, 4), BackwardMap(4, 3, bias=False)
    vectors = normal(5, 6).float()
    chain = compose(
        [newer.export(from_version=2, to_version=1), older.export(from_version=1, to_version=0)]
    )
    expected = older(newer(vectors)).detach().numpy()
    np.testing.assert_allclose(chain.apply(vectors.numpy()), expected, rtol=1e-5, atol=1e-6)


def test_an_mlp_of_one_layer_freezes_to_an_affine_map() -> None:
    layer = (np.ones((2, 3), np.float32), np.ones(2, np.float32))
    frozen = frozen_map(MLPTransform([layer], from_version=1, to_version=0))
    assert isinstance(frozen, BackwardMap)
    assert torch.equal(frozen(torch.ones(1, 3)), torch.full((1, 2), 4.0))


def test_a_composition_is_not_frozen_as_one() -> None:
    chain = ChainTransform([BackwardMap(3, 2).export(from_version=1, to_version=0)])
    with pytest.raises(TypeError, match="steps of a composition one by one"):
        frozen_map(chain)


def test_singular_values_bound_the_growth_of_an_error() -> None:
    module = BackwardMap(6, 4)
    error = normal(100, 6).float()
    grown = (module.weight @ error.T).norm(dim=0) / error.norm(dim=1)
    assert grown.max() <= module.singular_values()[0] * (1 + 1e-5)
