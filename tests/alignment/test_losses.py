"""The losses of BC-Aligner: value, gradient, what stays frozen, what counts for nothing."""

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from feast_bc.alignment import (
    BackwardMap,
    BackwardMLP,
    BackwardModule,
    BackwardTruncation,
    multi_step_loss,
    single_step_loss,
)
from feast_bc.errors import DimensionError
from tests.support.presence import there
from tests.support.tensors import normal


def explicit(
    mapped: torch.Tensor, previous: torch.Tensor, older: Sequence[nn.Module]
) -> torch.Tensor:
    """The multi-step loss as it is defined: both sides through the whole chain."""
    total, x, y = (mapped - previous).square().mean(), mapped, previous
    for map_ in older:
        x, y = map_(x), map_(y)
        total = total + (x - y).square().mean()
    return total / (len(older) + 1)


def module(kind: str, from_dim: int, to_dim: int, seed: int) -> BackwardModule:
    generator = torch.Generator().manual_seed(seed)
    if kind == "truncation":
        return BackwardTruncation(from_dim, min(from_dim, to_dim))
    if kind == "mlp":
        return BackwardMLP(from_dim, to_dim, hidden=[3], generator=generator).double()
    return BackwardMap(from_dim, to_dim, bias=kind == "affine", generator=generator).double()


@st.composite
def chains(draw: st.DrawFn, kinds: tuple[str, ...]) -> tuple[int, list[BackwardModule]]:
    """D_{k-1} and the older maps, the newest first."""
    first = width = draw(st.integers(1, 5))
    chain: list[BackwardModule] = []
    for i, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=4))):
        chain.append(module(kind, width, draw(st.integers(1, 5)), seed=i))
        width = chain[-1].to_dim
    return first, chain


def test_single_step_is_the_mean_square_over_entities_and_dimensions() -> None:
    mapped, previous = normal(5, 3), normal(5, 3, seed=1)
    expected = ((mapped - previous) ** 2).sum() / 15
    torch.testing.assert_close(single_step_loss(mapped, previous), expected)


def test_multi_step_without_older_maps_is_single_step() -> None:
    mapped, previous = normal(5, 3), normal(5, 3, seed=1)
    assert multi_step_loss(mapped, previous, []) == single_step_loss(mapped, previous)


@settings(max_examples=50)
@given(chains(("linear", "affine", "truncation")))
def test_propagating_the_difference_is_composing_affine_maps(
    drawn: tuple[int, list[BackwardModule]],
) -> None:
    dim, older = drawn
    mapped, previous = normal(7, dim), normal(7, dim, seed=1)
    expected = explicit(mapped, previous, older)
    torch.testing.assert_close(multi_step_loss(mapped, previous, older), expected)
    weights = [torch.eye(m.to_dim, m.from_dim).double() for m in older]
    weights = [getattr(m, "weight", w) for m, w in zip(older, weights, strict=True)]
    torch.testing.assert_close(multi_step_loss(mapped, previous, weights), expected)


@settings(max_examples=50)
@given(chains(("affine", "truncation", "mlp")))
def test_nonlinear_maps_are_composed_on_both_sides(drawn: tuple[int, list[BackwardModule]]) -> None:
    dim, older = drawn
    mapped, previous = normal(7, dim), normal(7, dim, seed=1)
    expected = explicit(mapped, previous, older)
    torch.testing.assert_close(multi_step_loss(mapped, previous, older), expected)


def test_any_torch_module_may_be_an_older_map() -> None:
    older = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()).double()
    mapped, previous = normal(7, 3), normal(7, 3, seed=1)
    found = multi_step_loss(mapped, previous, [older])
    torch.testing.assert_close(found, explicit(mapped, previous, [older]))


@pytest.mark.parametrize("kinds", [[], ["linear", "affine"], ["truncation"], ["affine", "mlp"]])
def test_gradients(kinds: list[str]) -> None:
    vectors, previous = normal(6, 5), normal(6, 4, seed=2)
    weight = normal(4, 5, seed=1).requires_grad_()
    older = [module(kind, 4 - i, 3 - i, seed=i) for i, kind in enumerate(kinds)]
    present = torch.tensor([True, False, True, True, False, True])

    def loss(vectors: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return multi_step_loss(vectors @ weight.T, previous, older, present)

    assert torch.autograd.gradcheck(loss, (vectors.requires_grad_(), weight))


@pytest.mark.parametrize("kind", ["linear", "affine", "truncation", "mlp"])
def test_older_maps_and_previous_vectors_stay_frozen(kind: str) -> None:
    older = module(kind, 3, 2, seed=0)
    previous = normal(5, 3, seed=1).requires_grad_()
    mapped = normal(5, 3, seed=2).requires_grad_()
    multi_step_loss(mapped, previous, [older]).backward()  # type: ignore[no-untyped-call]
    assert mapped.grad is not None
    assert previous.grad is None
    assert all(p.grad is None and p.requires_grad for p in older.parameters())


def test_older_weights_stay_frozen() -> None:
    older, mapped = normal(2, 3).requires_grad_(), normal(5, 3).requires_grad_()
    multi_step_loss(mapped, normal(5, 3, seed=1), [older]).backward()  # type: ignore[no-untyped-call]
    assert older.grad is None


@pytest.mark.parametrize("kind", ["affine", "mlp"])
def test_entities_without_a_previous_vector_count_for_nothing(kind: str) -> None:
    mapped = normal(4, 3).requires_grad_()
    previous = normal(4, 3, seed=1)
    previous[[1, 3]] = torch.nan
    present = torch.tensor([True, False, True, False])
    older = [module(kind, 3, 2, seed=2)]
    loss = multi_step_loss(mapped, previous, older, present)
    torch.testing.assert_close(loss, multi_step_loss(mapped[::2], previous[::2], older))
    loss.backward()  # type: ignore[no-untyped-call]
    assert (there(mapped.grad)[[1, 3]] == 0).all()
    assert (there(mapped.grad)[[0, 2]] != 0).all()


def test_no_entity_present_costs_nothing() -> None:
    mapped = normal(2, 3).requires_grad_()
    loss = single_step_loss(mapped, normal(2, 3, seed=1), torch.tensor([False, False]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert torch.eq(there(mapped.grad), 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((normal(5, 3), normal(5, 1), []), DimensionError, r"mapped.*\(5, 3\).*previous.*\(5, 1\)"),
        ((normal(5), normal(5), []), DimensionError, r"expected \(n, D_\{k-1\}\)"),
        (
            (normal(2, 3), normal(2, 3), [], torch.tensor([0, 1])),
            TypeError,
            "int64; expected a bool mask",
        ),
        (
            (normal(2, 3), normal(2, 3), [], torch.tensor([True])),
            DimensionError,
            r"\(1,\); expected \(2,\)",
        ),
        (
            (normal(2, 3), normal(2, 3), [normal(2, 3), normal(2, 3)]),
            DimensionError,
            r"older\[1\] takes 3 dimensions and gets 2.*newest first",
        ),
        (
            (normal(2, 3), normal(2, 3), [normal(2, 3), module("mlp", 2, 1, seed=0)]),
            TypeError,
            r"its weight, shape \(2, 3\).*frozen_map",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        multi_step_loss(*arguments)
