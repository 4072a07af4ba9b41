"""The paper's model: full-graph GraphSAGE (Hamilton et al., NeurIPS 2017) on users and items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import Self

from training.encoders.graph import Graph
from training.encoders.ranked_pairs import GraphOptions, PairEncoder
from training.interactions.history import History


@dataclass(frozen=True)
class GraphSAGEOptions(GraphOptions):
    """What experiments can set of GraphSAGE.

    Attributes:
        features: what an item comes in as the sum of: "category" and "brand" (the paper's), where
            the data has them, and "id", which is needed where these say little.
    """

    features: tuple[str, ...] = ("id",)


class GraphSAGE(PairEncoder):
    """L layers of x -> BN(W_1 mean(neighbours of x) + W_2 x + b), a ReLU between them.

    A user comes in as one vector that all users share, an item as the sum of its features'
    vectors. An item without any, as one later than the training, comes in as zero and is known by
    its buyers. So the model runs on any history.

    Batch normalisation is over all nodes of the graph. What is kept for later graphs are the
    moments under the final parameters (`settle`): on its own history the encoder is the same in
    training and in evaluation.

    Args:
        tokens: by feature, how many of its tokens are known at the end of training.
        dim: the dimension of user and item vectors, and of all layers.
        layers: L.
        generator: draws the initial values.
        options: see there.
    """

    options: GraphSAGEOptions

    def __init__(
        self,
        tokens: Mapping[str, int],
        dim: int,
        layers: int,
        *,
        generator: torch.Generator,
        options: GraphSAGEOptions,
    ) -> None:
        super().__init__()
        self.options = options
        self.user = nn.Parameter(0.1 * torch.randn(dim, generator=generator))
        tables = {f: torch.randn(n, dim, generator=generator) for f, n in tokens.items()}
        self.tables = nn.ParameterDict(tables)
        self.neighbours = nn.ModuleList(_linear(dim, generator) for _ in range(layers))
        self.selves = nn.ModuleList(_linear(dim, generator, bias=False) for _ in range(layers))
        # The moments of the last pass, not a moving average: every pass sees all nodes.
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim, momentum=1.0) for _ in range(layers))

    @classmethod
    def fresh(
        cls, past: History, version: int, dim: int, seed: int, options: GraphSAGEOptions
    ) -> Self:
        return cls._drawn(past, dim, options.depth(version), seed, options)

    @classmethod
    def _drawn(
        cls, past: History, dim: int, layers: int, seed: int, options: GraphSAGEOptions
    ) -> Self:
        if unknown := set(options.features) - set(past.item_tokens):
            raise ValueError(
                f"No item feature {min(unknown)!r} in the data; it has "
                f"{', '.join(past.item_tokens)}. Attributes come from the experiment's `items`."
            )
        tokens = {f: int(past.item_tokens[f].max()) + 1 for f in options.features}
        generator = torch.Generator().manual_seed(seed)
        return cls(tokens, dim, layers, generator=generator, options=options)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], options: GraphSAGEOptions) -> Self:
        layers = sum(name.startswith("selves.") for name in state)
        tables = {name.split(".")[1]: t for name, t in state.items() if name.startswith("tables.")}
        tokens, dim = {f: len(table) for f, table in tables.items()}, len(state["user"])
        encoder = cls(tokens, dim, layers, generator=torch.Generator(), options=options)
        encoder.load_state_dict(state)
        return encoder

    @torch.no_grad()
    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        """As deep as here; new coordinates read the old ones, but not the other way round."""
        larger = self._drawn(past, dim, len(self.selves), seed, self.options)
        larger.user[: self.dim] = self.user
        for feature, table in self.tables.items():
            larger.tables[feature][: len(table), : self.dim] = table
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

    def forward(self, past: History, graph: Graph) -> Tensor:
        vectors = torch.cat([self.user.expand(graph.users, -1), self._inputs(past)])
        last = len(self.selves) - 1
        layers = zip(self.neighbours, self.selves, self.norms, strict=True)
        for i, (neighbours, own, norm) in enumerate(layers):
            # Sparse products are in float32, also where the dense ones are not.
            vectors = norm((neighbours(graph.mean(vectors.float())) + own(vectors)).float())
            if i < last:
                vectors = vectors.relu()
        return vectors

    def _inputs(self, past: History) -> Tensor:
        """The items' features, shape `(items, dim)`."""
        total = self.user.new_zeros(len(past.item_ids), self.dim)
        for feature, table in self.tables.items():
            token = torch.from_numpy(past.item_tokens[feature]).to(table.device)
            known = (token >= 0) & (token < len(table))
            total = total.index_add(0, known.nonzero().squeeze(1), table[token[known]])
        return total

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
    linear: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, dim, dim, bias=bias
    )
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5, generator=generator)
    return linear
