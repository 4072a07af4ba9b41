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
    Consumer,
    consumer_loss,
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


AFFINE = BackwardMap(3, 2, bias=True, generator=torch.Generator().manual_seed(0)).double()
SERVED, BEFORE = normal(7, 3), normal(7, 3, seed=1)


def curved(vectors: torch.Tensor) -> torch.Tensor:
    return vectors.square().sum(dim=1)


def gap(consumer: Consumer, served: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    said = consumer(before)
    return (consumer(served) - said).square().mean() / said.var(correction=0)


def test_the_consumer_loss_is_the_mean_of_their_relative_gaps() -> None:
    """Each in the space of its own version; newer ones do not hear of older maps."""
    sines: Consumer = lambda vectors: vectors[:, 0].sin()  # noqa: E731
    expected = gap(curved, SERVED, BEFORE)
    expected = expected + gap(curved, AFFINE(SERVED), AFFINE(BEFORE))
    expected = expected + gap(sines, AFFINE(SERVED), AFFINE(BEFORE))
    found = consumer_loss(SERVED, BEFORE, [AFFINE], {1: [curved], 0: [curved, sines]})
    torch.testing.assert_close(found, expected / 3)


def test_answers_of_several_columns_count_alike() -> None:
    both: Consumer = lambda vectors: torch.stack([curved(vectors), 100 * vectors[:, 0]], 1)  # noqa: E731
    first: Consumer = lambda vectors: vectors[:, 0]  # noqa: E731
    expected = (gap(curved, SERVED, BEFORE) + gap(first, SERVED, BEFORE)) / 2
    torch.testing.assert_close(consumer_loss(SERVED, BEFORE, [], {0: [both]}), expected)


def test_consumers_and_older_maps_stay_frozen() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    mapped, previous = SERVED.clone().requires_grad_(), BEFORE.clone().requires_grad_()
    loss = consumer_loss(mapped, previous, [AFFINE], {0: [model]})
    loss.backward()  # type: ignore[no-untyped-call]
    assert there(mapped.grad).abs().sum() > 0
    assert previous.grad is None
    assert all(each.grad is None for each in [*model.parameters(), *AFFINE.parameters()])


def test_absent_entities_tell_consumers_nothing() -> None:
    present = torch.arange(7) != 3
    worse = BEFORE.clone()
    worse[3] = torch.nan
    found = consumer_loss(SERVED, worse, [], {0: [curved]}, present)
    torch.testing.assert_close(
        found, consumer_loss(SERVED[present], BEFORE[present], [], {0: [curved]})
    )


@pytest.mark.parametrize(
    ("consumers", "present"),
    [
        ({}, None),
        ({0: []}, None),
        ({0: [lambda vectors: 0 * vectors[:, 0] + 5]}, None),
        ({0: [curved]}, torch.zeros(7, dtype=torch.bool)),
    ],
)
def test_no_consumer_has_anything_to_say(
    consumers: dict[int, list[Consumer]], present: torch.Tensor | None
) -> None:
    """No consumer, one that tells nothing apart, nobody present: zero, with a gradient of zero."""
    mapped = SERVED.clone().requires_grad_()
    loss = consumer_loss(mapped, BEFORE, [], consumers, present)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    torch.testing.assert_close(mapped.grad, torch.zeros_like(mapped))


def test_what_consumers_cannot_take_is_named() -> None:
    with pytest.raises(ValueError, match="consumers names version 2; with 1 older maps B_k leads"):
        consumer_loss(SERVED, BEFORE, [AFFINE], {2: [curved]})
    with pytest.raises(TypeError, match="or a consumer follows it: the biases do not cancel"):
        consumer_loss(SERVED, BEFORE, [AFFINE.weight], {0: [curved]})
    with pytest.raises(DimensionError, match="mapped has shape"):
        consumer_loss(SERVED[:5], BEFORE, [AFFINE], {0: [curved]})
