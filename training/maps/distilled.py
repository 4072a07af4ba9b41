"""A hop that also keeps what frozen consumer models say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from torch import Tensor

from feast_bc.alignment import Consumer, consumer_loss, frozen_map
from feast_bc.transforms import AffineTransform
from training.maps.fits import Pairs


def decision(consumer: Pipeline) -> Consumer:
    """The log odds of a perceptron on standardised vectors, as a function with a gradient.

    Args:
        consumer: a `StandardScaler`, then an `MLPClassifier` with ReLUs.
    """
    scaler, network = consumer[0], consumer[-1]
    if not isinstance(network, MLPClassifier):
        raise TypeError(f"A perceptron is wanted, not {type(network).__name__}: trees have none.")
    mean, scale = torch.tensor(scaler.mean_), torch.tensor(scaler.scale_)
    weights = [torch.tensor(each, dtype=torch.float64) for each in network.coefs_]
    biases = [torch.tensor(each, dtype=torch.float64) for each in network.intercepts_]

    def says(vectors: Tensor) -> Tensor:
        layer = (vectors - mean) / scale
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            layer = (layer @ weight + bias).relu()
        return (layer @ weights[-1] + biases[-1]).squeeze(1)

    return says


def distilled(
    pairs: Pairs, older: Sequence[AffineTransform], consumers: Sequence[Consumer], weight: float
) -> AffineTransform:
    """The hop that comes near to z_{k-1} and to what consumers of version 0 say of it.

    min over W and b of sum ||W z_k + b - z_{k-1}||^2 / sum ||z_{k-1} - mean||^2, plus the weight
    times `consumer_loss`, from the least-squares solution by L-BFGS.

    Args:
        pairs: of versions k and k-1.
        older: B_{k-1}, ..., B_1.
        consumers: f, of version 0.
        weight: of the second term.
    """
    rows = pairs.known & ~pairs.unseen
    inputs = torch.from_numpy(pairs.vectors[rows].astype(np.float64))
    wanted = torch.from_numpy(pairs.previous[rows].astype(np.float64))
    start = pairs.least_squares()
    bias = np.zeros(start.to_dim) if start.bias is None else start.bias
    parameters = [
        torch.from_numpy(each.astype(np.float64)).requires_grad_() for each in (start.weight, bias)
    ]
    maps = [frozen_map(each).double() for each in older]
    spread = (wanted - wanted.mean(dim=0)).square().sum()
    optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        mapped = inputs @ parameters[0].T + parameters[1]
        total = (mapped - wanted).square().sum() / spread
        total = total + weight * consumer_loss(mapped, wanted, maps, {0: consumers})
        total.backward()  # type: ignore[no-untyped-call]
        return float(total.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = [each.detach().numpy() for each in parameters]
    return AffineTransform(*found, from_version=pairs.version, to_version=pairs.version - 1)
