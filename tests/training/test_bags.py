"""Bags of items against the dense matrix they stand for."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from training.encoders.bags import Bags

MATRIX = sp.csr_matrix(
    np.array([[0, 2, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0], [1, 1, 1, 0]], np.float32)
)
TABLE = torch.arange(12, dtype=torch.float32).reshape(4, 3)


def test_sums_are_the_matrix_product_also_for_empty_bags() -> None:
    expected = torch.from_numpy(MATRIX.toarray()) @ TABLE
    torch.testing.assert_close(Bags.of(MATRIX).sums(TABLE), expected)


def test_chosen_rows_stand_in_the_chosen_order() -> None:
    rows = np.array([3, 0])
    expected = torch.from_numpy(MATRIX[rows].toarray()) @ TABLE
    torch.testing.assert_close(Bags.of(MATRIX, rows).sums(TABLE), expected)


def test_unweighted_counts_every_entry_once() -> None:
    pattern = torch.from_numpy((MATRIX.toarray() > 0).astype(np.float32))
    torch.testing.assert_close(Bags.of(MATRIX).unweighted().sums(TABLE), pattern @ TABLE)


def test_transposed_is_the_transposed_matrix() -> None:
    expected = torch.from_numpy(MATRIX.T.toarray()) @ TABLE
    torch.testing.assert_close(Bags.of(MATRIX).transposed(4).sums(TABLE), expected)


def test_a_mask_and_its_opposite_share_the_entries() -> None:
    bags = Bags.of(MATRIX)
    drawn = bags.drawn(0.5, torch.Generator().manual_seed(0))
    together = bags.where(drawn).sums(TABLE) + bags.where(~drawn).sums(TABLE)
    torch.testing.assert_close(together, bags.sums(TABLE))
    assert torch.equal(bags.where(drawn).sizes() + bags.where(~drawn).sizes(), bags.sizes())


def test_sums_have_a_gradient() -> None:
    table = TABLE.double().requires_grad_()
    bags = Bags.of(MATRIX.astype(np.float64))
    assert torch.autograd.gradcheck(bags.sums, (table,))
