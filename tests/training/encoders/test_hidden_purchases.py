"""The intended task's loss."""

from __future__ import annotations

import torch

from training.encoders.bags import Bags
from training.encoders.fold_in import FoldIn, cross_entropy

ASKED = Bags(
    torch.tensor([4, 0, 2]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 0.5, 0.25]), count=2
)
VECTORS = torch.tensor([[1.0, -1.0], [0.5, 2.0]])


def _encoder() -> FoldIn:
    return FoldIn(6, 2, generator=torch.Generator().manual_seed(0))


def test_all_items_give_the_weighted_log_softmax() -> None:
    encoder = _encoder()
    log_softmax = (VECTORS @ encoder.outputs.T).log_softmax(dim=1)
    chosen = log_softmax[ASKED.row, ASKED.item]
    expected = -(ASKED.weight * chosen).sum() / ASKED.weight.sum()
    torch.testing.assert_close(cross_entropy(encoder.outputs, VECTORS, ASKED, None), expected)


def test_many_candidates_come_near_to_all_items() -> None:
    """The pair's own item is counted once more, so the loss is a little larger: log(1 + p)."""
    encoder = _encoder()
    candidates = torch.randint(6, (200_000,), generator=torch.Generator().manual_seed(1))
    log_softmax = (VECTORS @ encoder.outputs.T).log_softmax(dim=1)
    chosen = log_softmax[ASKED.row, ASKED.item]
    loss = -chosen + chosen.exp().log1p()
    expected = (ASKED.weight * loss).sum() / ASKED.weight.sum()
    found = cross_entropy(encoder.outputs, VECTORS, ASKED, candidates)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
