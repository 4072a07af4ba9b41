"""Sparse products against dense ones, gradients included."""

from __future__ import annotations

import torch

from training.encoders.sparse import csr, inner_products, pointers, symmetric_product

GENERATOR = torch.Generator().manual_seed(0)
LEFT = torch.randn(3, 4, generator=GENERATOR, dtype=torch.float64)
RIGHT = torch.randn(5, 4, generator=GENERATOR, dtype=torch.float64)
# Row 1 has no pairs, row 2 has one of them twice, and columns come in any order.
CROW, COL = torch.tensor([0, 2, 2, 6]), torch.tensor([4, 0, 3, 1, 3, 2])
ROW = torch.tensor([0, 0, 2, 2, 2, 2])


def test_inner_products_are_those_of_the_chosen_pairs() -> None:
    expected = (LEFT[ROW] * RIGHT[COL]).sum(dim=1)
    torch.testing.assert_close(inner_products(LEFT, RIGHT, CROW, COL), expected)


def test_inner_products_have_their_gradient() -> None:
    left, right = LEFT.clone().requires_grad_(), RIGHT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: inner_products(a, b, CROW, COL), (left, right))


def test_the_symmetric_product_and_its_gradient() -> None:
    dense = torch.tensor([[0, 2, 0], [2, 0, 1], [0, 1, 0]], dtype=torch.float64)
    row, col = dense.nonzero().T
    matrix = csr(pointers(torch.bincount(row)), col, dense[row, col], (3, 3))
    vectors = torch.randn(3, 2, generator=GENERATOR, dtype=torch.float64).requires_grad_()
    torch.testing.assert_close(symmetric_product(matrix, vectors), dense @ vectors)
    assert torch.autograd.gradcheck(lambda x: symmetric_product(matrix, x), (vectors,))
