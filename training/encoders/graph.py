"""Who bought what, as an undirected graph of users and items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from training.encoders.sparse import csr, symmetric_product


@dataclass(frozen=True)
class Graph:
    """The nodes are the users and, behind them, the items; an edge is a purchase.

    Attributes:
        users, items: how many.
        adjacency: float32 CSR tensor of ones, shape `(n, n)` with n = users + items.
        degree: float32, shape `(n, 1)`; at least 1, so that it can be divided by.
    """

    users: int
    items: int
    adjacency: Tensor
    degree: Tensor

    @classmethod
    def of(cls, bought: sp.csr_matrix, device: torch.device) -> Graph:
        """The graph of the stored entries of a matrix of shape `(users, items)`."""
        transposed = bought.T.tocsr()
        users, items = bought.shape
        crow = np.concatenate([bought.indptr, bought.nnz + transposed.indptr[1:]])
        col = np.concatenate([bought.indices.astype(np.int32) + users, transposed.indices])
        degree = torch.from_numpy(np.diff(crow).astype(np.float32)).unsqueeze(1)
        adjacency = csr(
            torch.from_numpy(crow).to(device),
            torch.from_numpy(col).to(device),
            torch.ones(len(col), device=device),
            (users + items, users + items),
        )
        return cls(users, items, adjacency, degree.clamp(min=1).to(device))

    def mean(self, vectors: Tensor) -> Tensor:
        """The mean of every node's neighbours, 0 without any: shape `(n, d)` to `(n, d)`."""
        return symmetric_product(self.adjacency, vectors) / self.degree

    def normalised(self, vectors: Tensor) -> Tensor:
        """The neighbours' sum, each divided by the root of both degrees (LightGCN)."""
        root = self.degree.rsqrt()
        return root * symmetric_product(self.adjacency, root * vectors)
