"""A batch of users as bags of items: what a sparse matrix's rows hold, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from training.interactions.interactions import Codes


@dataclass(frozen=True)
class Bags:
    """`count` bags with `n` entries in all.

    Attributes:
        item: int64, shape `(n,)`; the bags' items one after the other.
        row: int64, shape `(n,)`, ascending; the bag of each entry.
        weight: float32, shape `(n,)`.
        count: the number of bags; a bag may be empty.
    """

    item: Tensor
    row: Tensor
    weight: Tensor
    count: int

    @classmethod
    def of(cls, matrix: sp.csr_matrix, rows: Codes | None = None) -> Bags:
        """The rows of a CSR matrix, all of them for None; its values are the weights."""
        some = matrix if rows is None else matrix[rows]
        row = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        return cls(
            torch.from_numpy(some.indices.astype(np.int64)),
            torch.from_numpy(row),
            torch.from_numpy(some.data),
            some.shape[0],
        )

    def to(self, device: torch.device) -> Bags:
        """The same bags on a device."""
        return Bags(self.item.to(device), self.row.to(device), self.weight.to(device), self.count)

    def where(self, mask: Tensor) -> Bags:
        """The entries under a bool mask of shape `(n,)`; the bags stay as many."""
        return Bags(self.item[mask], self.row[mask], self.weight[mask], self.count)

    def unweighted(self) -> Bags:
        """The same entries, each with the weight 1."""
        return replace(self, weight=torch.ones_like(self.weight))

    def drawn(self, share: float, generator: torch.Generator) -> Tensor:
        """A random share of the entries: bool, shape `(n,)`."""
        return (torch.rand(len(self.item), generator=generator) < share).to(self.item.device)

    def transposed(self, items: int) -> Bags:
        """A bag of rows for each of `items` items."""
        order = self.item.argsort(stable=True)
        return Bags(self.row[order], self.item[order], self.weight[order], items)

    def sizes(self) -> Tensor:
        """Entries per bag: int64, shape `(count,)`."""
        return torch.bincount(self.row, minlength=self.count)

    def sums(self, table: Tensor) -> Tensor:
        """The weighted sum per bag of its items' rows in `table`: shape `(count, columns)`."""
        sizes = self.sizes()
        return nn.functional.embedding_bag(
            self.item,
            table,
            sizes.cumsum(0) - sizes,
            mode="sum",
            per_sample_weights=self.weight,
        )
