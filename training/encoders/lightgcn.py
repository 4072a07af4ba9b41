"""LightGCN (He et al., SIGIR 2020): tables by id, smoothed over the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from training.encoders.graph import Graph
from training.encoders.matrix_factorisation import MatrixFactorisation
from training.encoders.ranked_pairs import GraphOptions
from training.interactions.history import History


class LightGCN(MatrixFactorisation):
    """The mean of an id table and of its L images under the normalised adjacency.

    Entities later than the training have zeros in the table; they get what flows to them from
    their neighbours, and are unknown only where nothing does.
    """

    options: GraphOptions
    layers: Tensor

    def __init__(
        self,
        users: int,
        items: int,
        dim: int,
        *,
        generator: torch.Generator,
        options: GraphOptions,
    ) -> None:
        super().__init__(users, items, dim, generator=generator, options=options)
        self.register_buffer("layers", torch.tensor(options.depth(0)))

    @classmethod
    def fresh(cls, past: History, version: int, dim: int, seed: int, options: Any) -> Self:
        encoder = super().fresh(past, version, dim, seed, options)
        encoder.layers.fill_(options.depth(version))
        return encoder

    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        """As deep as here."""
        larger = super().grown(past, dim, seed=seed)
        larger.layers.copy_(self.layers)
        return larger

    def forward(self, past: History, graph: Graph) -> Tensor:
        vectors = super().forward(past, graph)
        total = vectors
        for _ in range(int(self.layers)):
            vectors = graph.normalised(vectors)
            total = total + vectors
        return total / (int(self.layers) + 1)
