"""Products with sparse matrices that torch.sparse computes, with the gradients it lacks."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def csr(crow: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor; int32 indices, which the products are fastest with."""
    with warnings.catch_warnings():
        # Said once per process; the two products used here have been there for years.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(
            crow.int(), col.int(), values, size=shape, check_invariants=False
        )


def pointers(sizes: Tensor) -> Tensor:
    """The row pointers of a CSR matrix whose rows have these sizes: shape `(rows + 1,)`."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


class _Symmetric(Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        product: Tensor = torch.sparse.mm(matrix, vectors)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (matrix,) = ctx.saved_tensors
        return None, torch.sparse.mm(matrix, gradient.contiguous())


def symmetric_product(matrix: Tensor, vectors: Tensor) -> Tensor:
    """A x for a constant symmetric CSR matrix; torch's own gradient transposes it every time.

    Args:
        matrix: CSR, shape `(n, n)`.
        vectors: shape `(n, d)`; of the matrix' dtype.
    """
    # There are no sparse products in bfloat16.
    with torch.autocast(vectors.device.type, enabled=False):
        product: Tensor = _Symmetric.apply(matrix, vectors)  # type: ignore[no-untyped-call]
    return product


class _InnerProducts(Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, crow: Tensor, col: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, crow, col)
        pattern = csr(crow, col, left.new_zeros(len(col)), (len(left), len(right)))
        products: Tensor = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values()
        return products

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        left, right, crow, col = ctx.saved_tensors
        shape = (len(left), len(right))
        gradient = gradient.contiguous()
        row = torch.repeat_interleave(crow.diff())
        order = col.argsort(stable=True)
        sizes = torch.bincount(col, minlength=len(right))
        transposed = csr(pointers(sizes), row[order], gradient[order], shape[::-1])
        to_left = torch.sparse.mm(csr(crow, col, gradient, shape), right)
        return to_left, torch.sparse.mm(transposed, left), None, None


def inner_products(left: Tensor, right: Tensor, crow: Tensor, col: Tensor) -> Tensor:
    """<left_r, right_c> of chosen pairs, without a copy of the vectors per pair.

    Args:
        left, right: float32, shapes `(m, d)` and `(n, d)`.
        crow, col: int64, shapes `(m + 1,)` and `(b,)`: row r is paired with the columns
            `col[crow[r]:crow[r + 1]]`, some maybe more than once.

    Returns:
        Shape `(b,)`.
    """
    products: Tensor = _InnerProducts.apply(left, right, crow, col)  # type: ignore[no-untyped-call]
    return products
