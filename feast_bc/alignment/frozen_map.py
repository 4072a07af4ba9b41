"""Published transformations as torch modules: the older maps of the multi-step loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from feast_bc.alignment.backward_map import BackwardMap
from feast_bc.alignment.backward_mlp import BackwardMLP
from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.alignment.backward_truncation import BackwardTruncation
from feast_bc.columns.arrays import Matrix
from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    MLPTransform,
    TruncationTransform,
)


def _frozen_truncation(transform: TruncationTransform) -> BackwardModule:
    return BackwardTruncation(transform.from_dim, transform.to_dim)


def _frozen_affine(transform: AffineTransform) -> BackwardModule:
    return _affine(transform.weight, transform.bias)


def _frozen_mlp(transform: MLPTransform) -> BackwardModule:
    layers = [_affine(weight, bias) for weight, bias in transform.layers]
    if len(layers) == 1:
        return layers[0]
    hidden = [layer.from_dim for layer in layers[1:]]
    module = BackwardMLP(transform.from_dim, transform.to_dim, hidden=hidden)
    module.layers = nn.ModuleList(layers)
    return module


_MODULES: Mapping[str, Callable[[Any], BackwardModule]] = {
    AffineTransform.kind: _frozen_affine,
    MLPTransform.kind: _frozen_mlp,
    TruncationTransform.kind: _frozen_truncation,
}
"""Per kind of transformation how it becomes a module."""


def frozen_map(transform: BackwardTransform) -> BackwardModule:
    """The same map as a module of float32 parameters that are not trained: `export` undone.

    Args:
        transform: a transformation of one kind, e.g. of `load_artifact`.

    Raises:
        TypeError: there is no module for its kind; of a composition, freeze the steps one by one.
    """
    if transform.kind not in _MODULES:
        raise TypeError(
            f"{transform!r} cannot be frozen; expected one of the kinds {', '.join(_MODULES)}. "
            "Pass the steps of a composition one by one, the newest first."
        )
    return _MODULES[transform.kind](transform).requires_grad_(False)


def _affine(weight: Matrix, bias: Matrix | None) -> BackwardMap:
    to_dim, from_dim = weight.shape
    module = BackwardMap(from_dim, to_dim, bias=bias is not None)
    module.weight.data = torch.tensor(weight)
    if module.bias is not None:
        module.bias.data = torch.tensor(bias)
    return module
