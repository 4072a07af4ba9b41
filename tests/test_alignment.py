"""The losses of BC-Aligner and the trainable backward transformation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from feast_bc.alignment import BackwardMap, multi_step_loss, single_step_loss  # noqa: E402
from feast_bc.transforms import compose  # noqa: E402


def normal(*shape: int, seed: int = 0) -> "torch.Tensor":
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_single_step_is_the_mean_square_over_entities_and_dimensions() -> None:
    mapped, previous = normal(5, 3), normal(5, 3, seed=1)
    expected = ((mapped - previous) ** 2).sum() / 15
    torch.testing.assert_close(single_step_loss(mapped, previous), expected)


def test_multi_step_without_older_maps_is_single_step() -> None:
    mapped, previous = normal(5, 3), normal(5, 3, seed=1)
    assert multi_step_loss(mapped, previous, []) == single_step_loss(mapped, previous)


def test_gradients() -> None:
    vectors = normal(6, 5)
    weight = normal(4, 5, seed=1).requires_grad_()
    previous, older = normal(6, 4, seed=2), [normal(3, 4, seed=3), normal(2, 3, seed=4)]
    present = torch.tensor([True, False, True, True, False, True])

    def loss(vectors: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
        return multi_step_loss(vectors @ weight.T, previous, older, present)

    assert torch.autograd.gradcheck(loss, (vectors.requires_grad_(), weight))


def test_difference_propagation_is_explicit_composition_of_affine_maps() -> None:
    dims = [2, 3, 4]
    older = [BackwardMap(4, 3).double(), BackwardMap(3, 2).double()]  # B_2, B_1
    mapped, previous = normal(7, 4), normal(7, 4, seed=1)
    expected, x, y = (mapped - previous).square().mean(), mapped, previous
    for map_ in older:
        x, y = map_(x), map_(y)
        expected = expected + (x - y).square().mean()
    found = multi_step_loss(mapped, previous, [m.weight for m in older])
    torch.testing.assert_close(found, expected / len(dims))


def test_older_maps_and_previous_vectors_stay_frozen() -> None:
    older, previous = normal(2, 3).requires_grad_(), normal(5, 3, seed=1).requires_grad_()
    mapped = normal(5, 3, seed=2).requires_grad_()
    multi_step_loss(mapped, previous, [older]).backward()
    assert mapped.grad is not None
    assert older.grad is None
    assert previous.grad is None


def test_entities_without_a_previous_vector_count_for_nothing() -> None:
    mapped = normal(4, 3).requires_grad_()
    previous = normal(4, 3, seed=1)
    previous[[1, 3]] = torch.nan
    present = torch.tensor([True, False, True, False])
    loss = multi_step_loss(mapped, previous, [normal(2, 3, seed=2)], present)
    loss.backward()
    assert torch.isfinite(loss)
    assert (mapped.grad[[1, 3]] == 0).all()
    assert (mapped.grad[[0, 2]] != 0).all()


def test_no_entity_present_costs_nothing() -> None:
    mapped = normal(2, 3).requires_grad_()
    loss = single_step_loss(mapped, normal(2, 3, seed=1), torch.tensor([False, False]))
    loss.backward()
    assert loss == 0
    assert (mapped.grad == 0).all()


@pytest.mark.parametrize("bias", [True, False])
def test_least_squares_is_the_optimum_of_either_loss(bias: bool) -> None:
    vectors, previous = normal(50, 6), normal(50, 4, seed=1) + 3
    present = torch.arange(50) % 5 > 0
    backward = BackwardMap(6, 4, bias=bias).double()
    backward.fit_least_squares(vectors, previous, present)
    for older in ([], [normal(3, 4, seed=2), normal(2, 3, seed=3)]):
        backward.zero_grad()
        multi_step_loss(backward(vectors), previous, older, present).backward()
        for parameter in backward.parameters():
            assert parameter.grad.abs().max() < 1e-10


def test_least_squares_finds_the_smallest_map_of_deficient_vectors() -> None:
    vectors = normal(20, 2) @ normal(2, 6, seed=1)
    backward = BackwardMap(6, 2, bias=False).double()
    backward.fit_least_squares(vectors, vectors[:, :2])
    torch.testing.assert_close(backward(vectors), vectors[:, :2])
    assert backward.weight.norm() < 2


def test_initial_values_follow_the_generator_and_the_papers_bound() -> None:
    one, two = (BackwardMap(16, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.weight, two.weight)
    assert one.weight.abs().max() <= 1 / 4


def test_export_is_the_same_map_and_composes() -> None:
    newer, older = BackwardMap(6, 4), BackwardMap(4, 3, bias=False)
    vectors = normal(5, 6).float()
    chain = compose(
        [newer.export(from_version=2, to_version=1), older.export(from_version=1, to_version=0)]
    )
    expected = older(newer(vectors)).detach().numpy()
    np.testing.assert_allclose(chain.apply(vectors.numpy()), expected, rtol=1e-5, atol=1e-6)


def test_singular_values_bound_the_growth_of_an_error() -> None:
    backward = BackwardMap(6, 4)
    error = normal(100, 6).float()
    grown = (backward.weight @ error.T).norm(dim=0) / error.norm(dim=1)
    assert grown.max() <= backward.singular_values()[0] * (1 + 1e-5)
