"""Published transformations as torch modules: the older maps of the multi-step loss."""

from __future__ import annotations

import torch
from torch import nn

from feast_bc.alignment.backward_map import BackwardMap
from feast_bc.alignment.backward_mlp import BackwardMLP
from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.alignment.backward_truncation import BackwardTruncation
from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    MLPTransform,
    TruncationTransform,
)
from feast_bc.vectors import Matrix


def frozen_map(transform: BackwardTransform) -> BackwardModule:
    """The same map as a module of float32 parameters that are not trained: `export` undone.

    Args:
        transform: an AffineTransform, TruncationTransform or MLPTransform, e.g. of `load_artifact`.

    Raises:
        TypeError: another kind; of a composition, freeze the steps one by one.
    """
    module: BackwardModule
    if isinstance(transform, TruncationTransform):
        module = BackwardTruncation(transform.from_dim, transform.to_dim)
    elif isinstance(transform, AffineTransform):
        module = _affine(transform.weight, transform.bias)
    elif isinstance(transform, MLPTransform):
        layers = [_affine(weight, bias) for weight, bias in transform.layers]
        if len(layers) == 1:
            module = layers[0]
        else:
            hidden = [layer.from_dim for layer in layers[1:]]
            module = BackwardMLP(transform.from_dim, transform.to_dim, hidden=hidden)
            module.layers = nn.ModuleList(layers)
    else:
        raise TypeError(
            f"{transform!r} cannot be frozen; expected an affine map, a truncation or an MLP. "
            "Pass the steps of a composition one by one, the newest first."
        )
    return module.requires_grad_(False)


def _affine(weight: Matrix, bias: Matrix | None) -> BackwardMap:
    to_dim, from_dim = weight.shape
    module = BackwardMap(from_dim, to_dim, bias=bias is not None)
    module.weight.data = torch.tensor(weight)
    if module.bias is not None:
        module.bias.data = torch.tensor(bias)
    return module
