"""Previous vectors straight from the previous model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def frozen_vectors(model: nn.Module, *inputs: Any) -> Tensor:
    """z_{k-1} = M_{k-1}(inputs) as it would be served: in eval mode, without gradients.

    The modes of the model and its parts are put back afterwards, so that M_{k-1} may share parts
    with the model in training.

    Args:
        model: M_{k-1}.
        inputs: what it takes for `n` entities.

    Returns:
        Whatever the model yields: shape `(n, D_{k-1})`.
    """
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        vectors: Tensor = model(*inputs)
        return vectors
    finally:
        for part, training in modes:
            part.training = training
