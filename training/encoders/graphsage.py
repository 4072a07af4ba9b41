"""The paper's model: full-graph GraphSAGE (Hamilton et al., NeurIPS 2017) on users and items."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Self

from training.encoders.graph import Graph
from training.encoders.ranked_pairs import PairEncoder, PairOptions
from training.history import History


class GraphSAGE(PairEncoder):
    """L layers of x -> BN(W_1 mean(neighbours of x) + W_2 x + b), a ReLU between them.

    A user comes in as one vector that all users share, an item as the vector of its id; items
    later than the training come in as zero and are known by their buyers. So the model runs on
    any history.

    Batch normalisation is over all nodes of the graph. What is kept for later graphs are the
    moments under the final parameters (`settle`): on its own history the encoder is the same in
    training and in evaluation.

    Args:
        items: the number of items known at the end of training.
        dim: the dimension of user and item vectors, and of all layers.
        layers: L.
        generator: draws the initial values.
        options: see there.
    """

    def __init__(
        self,
        items: int,
        dim: int,
        layers: int,
        *,
        generator: torch.Generator,
        options: PairOptions,
    ) -> None:
        super().__init__()
        self.options = options
        self.user = nn.Parameter(0.1 * torch.randn(dim, generator=generator))
        self.item_table = nn.Parameter(torch.randn(items, dim, generator=generator))
        self.neighbours = nn.ModuleList(_linear(dim, generator) for _ in range(layers))
        self.selves = nn.ModuleList(_linear(dim, generator, bias=False) for _ in range(layers))
        # The moments of the last pass, not a moving average: every pass sees all nodes.
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim, momentum=1.0) for _ in range(layers))

    @classmethod
    def fresh(cls, past: History, version: int, dim: int, seed: int, options: PairOptions) -> Self:
        generator = torch.Generator().manual_seed(seed)
        items = past.bought.shape[1]
        return cls(items, dim, options.depth(version), generator=generator, options=options)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], options: PairOptions) -> Self:
        layers = sum(name.startswith("selves.") for name in state)
        items, dim = state["item_table"].shape
        encoder = cls(items, dim, layers, generator=torch.Generator(), options=options)
        encoder.load_state_dict(state)
        return encoder

    @torch.no_grad()
    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        """As deep as here; new coordinates read the old ones, but not the other way round."""
        generator = torch.Generator().manual_seed(seed)
        items, layers = past.bought.shape[1], len(self.selves)
        larger = type(self)(items, dim, layers, generator=generator, options=self.options)
        larger.user[: self.dim] = self.user
        larger.item_table[: len(self.item_table), : self.dim] = self.item_table
        new = dict(larger.named_modules())
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                new[name].weight[: self.dim] = 0
                new[name].weight[: self.dim, : self.dim] = module.weight
                if module.bias is not None:
                    new[name].bias[: self.dim] = module.bias
            elif isinstance(module, nn.BatchNorm1d):
                for part in ("weight", "bias", "running_mean", "running_var"):
                    getattr(new[name], part)[: self.dim] = getattr(module, part)
        return larger

    @property
    def dim(self) -> int:
        return len(self.user)

    def forward(self, past: History, graph: Graph) -> Tensor:  # noqa: ARG002
        known = min(len(self.item_table), graph.items)
        table = nn.functional.pad(self.item_table[:known], (0, 0, 0, graph.items - known))
        vectors = torch.cat([self.user.expand(graph.users, -1), table])
        last = len(self.selves) - 1
        layers = zip(self.neighbours, self.selves, self.norms, strict=True)
        for i, (neighbours, own, norm) in enumerate(layers):
            # Sparse products are in float32, also where the dense ones are not.
            vectors = norm((neighbours(graph.mean(vectors.float())) + own(vectors)).float())
            if i < last:
                vectors = vectors.relu()
        return vectors

    def knows_users(self, past: History) -> Tensor:
        """All of them: each has bought something."""
        return torch.ones(past.bought.shape[0], dtype=torch.bool)

    def knows_items(self, past: History) -> Tensor:
        """All of them: each has been bought by someone."""
        return torch.ones(past.bought.shape[1], dtype=torch.bool)

    @torch.no_grad()
    def settle(self, past: History) -> None:
        self.train()
        self(past, Graph.of(past.bought, self.device))


def _linear(dim: int, generator: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """torch's own initial values, from this generator."""
    linear = nn.utils.skip_init(nn.Linear, dim, dim, bias=bias)
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5, generator=generator)
    return linear
