"""The loss of what consumers say: value, gradient, what stays frozen, what counts for nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from feast_bc.alignment import BackwardMap, Consumer, consumer_loss
from feast_bc.errors import DimensionError
from tests.support.presence import there
from tests.support.tensors import normal

OLDER = BackwardMap(3, 2, bias=True, generator=torch.Generator().manual_seed(0)).double()
MAPPED, PREVIOUS = normal(7, 3), normal(7, 3, seed=1)


def curved(vectors: Tensor) -> Tensor:
    return vectors.square().sum(dim=1)


def gap(consumer: Consumer, served: Tensor, before: Tensor) -> Tensor:
    said = consumer(before)
    return (consumer(served) - said).square().mean() / said.var(correction=0)


def test_it_is_the_mean_over_consumers_of_their_relative_gaps() -> None:
    """Each in the space of its own version; newer ones do not hear of older maps."""
    sines: Consumer = lambda vectors: vectors[:, 0].sin()  # noqa: E731
    expected = gap(curved, MAPPED, PREVIOUS)
    expected = expected + gap(curved, OLDER(MAPPED), OLDER(PREVIOUS))
    expected = expected + gap(sines, OLDER(MAPPED), OLDER(PREVIOUS))
    found = consumer_loss(MAPPED, PREVIOUS, [OLDER], {1: [curved], 0: [curved, sines]})
    torch.testing.assert_close(found, expected / 3)


def test_answers_of_several_columns_count_alike() -> None:
    both: Consumer = lambda vectors: torch.stack([curved(vectors), 100 * vectors[:, 0]], 1)  # noqa: E731
    first: Consumer = lambda vectors: vectors[:, 0]  # noqa: E731
    expected = (gap(curved, MAPPED, PREVIOUS) + gap(first, MAPPED, PREVIOUS)) / 2
    torch.testing.assert_close(consumer_loss(MAPPED, PREVIOUS, [], {0: [both]}), expected)


def test_only_what_is_mapped_learns() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    mapped, previous = MAPPED.clone().requires_grad_(), PREVIOUS.clone().requires_grad_()
    loss = consumer_loss(mapped, previous, [OLDER], {0: [model]})
    loss.backward()  # type: ignore[no-untyped-call]
    assert there(mapped.grad).abs().sum() > 0
    assert previous.grad is None
    assert all(each.grad is None for each in [*model.parameters(), *OLDER.parameters()])


def test_absent_entities_count_for_nothing() -> None:
    present = torch.arange(7) != 3
    worse = PREVIOUS.clone()
    worse[3] = torch.nan
    found = consumer_loss(MAPPED, worse, [], {0: [curved]}, present)
    torch.testing.assert_close(
        found, consumer_loss(MAPPED[present], PREVIOUS[present], [], {0: [curved]})
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
def test_nothing_to_learn_from(
    consumers: dict[int, list[Consumer]], present: Tensor | None
) -> None:
    """No consumer, one that tells nothing apart, nobody present: zero, with a gradient of zero."""
    mapped = MAPPED.clone().requires_grad_()
    loss = consumer_loss(mapped, PREVIOUS, [], consumers, present)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    torch.testing.assert_close(mapped.grad, torch.zeros_like(mapped))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="consumers names version 2; with 1 older maps B_k leads"):
        consumer_loss(MAPPED, PREVIOUS, [OLDER], {2: [curved]})
    with pytest.raises(TypeError, match="or a consumer follows it: the biases do not cancel"):
        consumer_loss(MAPPED, PREVIOUS, [OLDER.weight], {0: [curved]})
    with pytest.raises(DimensionError, match="mapped has shape"):
        consumer_loss(MAPPED[:5], PREVIOUS, [OLDER], {0: [curved]})
