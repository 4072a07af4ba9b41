"""The same graph as dense matrices, to hold the sparse computation against."""

import torch
from torch import Tensor

from training.interactions.history import History


def adjacency(past: History) -> Tensor:
    """Shape `(n, n)`, users first."""
    bought = torch.from_numpy(past.bought.toarray())
    users, items = bought.shape
    top = torch.cat([torch.zeros(users, users), bought], dim=1)
    return torch.cat([top, torch.cat([bought.T, torch.zeros(items, items)], dim=1)])
