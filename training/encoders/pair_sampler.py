"""Pairs to be ranked: what a user bought before what the user did not."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.sparse as sp
import torch
from torch import Tensor

from training.encoders.sparse import pointers

_ROUNDS = 16  # of drawing again what was bought; those who bought nearly all keep a few


@dataclass(frozen=True)
class Pairs:
    """`b` users in ascending order, each with an item bought and one not bought.

    Attributes:
        user, positive, negative: int64, shape `(b,)`.
        crow: int64, shape `(users + 1,)`; where each user's pairs begin.
    """

    user: Tensor
    positive: Tensor
    negative: Tensor
    crow: Tensor


class PairSampler:
    """Draws users uniformly, as the paper does, then one of the user's items and one of the others.

    Args:
        bought: CSR of shape `(users, items)`, sorted: what no negative may be.
        generator: its device is where the pairs are drawn.
    """

    def __init__(self, bought: sp.csr_matrix, generator: torch.Generator) -> None:
        self._generator, self._device = generator, generator.device
        self._users, self._items = bought.shape
        self._item = torch.from_numpy(bought.indices).long().to(self._device)
        self._crow = torch.from_numpy(bought.indptr).long().to(self._device)
        user = torch.repeat_interleave(self._crow.diff())
        self._key = user * self._items + self._item  # ascending

    def draw(self, count: int, weights: Tensor) -> Pairs:
        """`count` pairs.

        Args:
            weights: float64, shape `(nnz,)`, not negative: a user's items are drawn in these
                proportions; users whose weights are all 0 are not drawn.
        """
        total = torch.cat([weights.new_zeros(1), weights.cumsum(0)])
        before, after = total[self._crow[:-1]], total[self._crow[1:]]
        drawable = (after > before).nonzero().squeeze(1)
        user = self._evenly(drawable, count)
        share = self._uniform(count, dtype=torch.float64)
        # `right`: entries of weight 0 are stepped over. The clamp: a share may be rounded up.
        point = before[user] + share * (after - before)[user]
        entry = torch.searchsorted(total[1:], point, right=True)
        entry = torch.minimum(entry, self._crow[user + 1] - 1)
        negative = self._not_bought(user)
        crow = pointers(torch.bincount(user, minlength=self._users))
        return Pairs(user, self._item[entry], negative, crow)

    def _evenly(self, users: Tensor, count: int) -> Tensor:
        """Each user as often as the others, up to one: ascending, shape `(count,)`."""
        each, rest = divmod(count, len(users))
        times = torch.full((len(users),), each, device=self._device)
        order = torch.randperm(len(users), generator=self._generator, device=self._device)
        times[order[:rest]] += 1
        return users.repeat_interleave(times)

    def _not_bought(self, user: Tensor) -> Tensor:
        item = self._uniform_items(len(user))
        again = self._bought(user, item).nonzero().squeeze(1)
        for _ in range(_ROUNDS):
            if len(again) == 0:
                break
            item[again] = self._uniform_items(len(again))
            again = again[self._bought(user[again], item[again])]
        return item

    def _bought(self, user: Tensor, item: Tensor) -> Tensor:
        key = user * self._items + item
        at = torch.searchsorted(self._key, key).clamp(max=len(self._key) - 1)
        bought: Tensor = self._key[at] == key
        return bought

    def _uniform(self, count: int, dtype: torch.dtype) -> Tensor:
        return torch.rand(count, generator=self._generator, device=self._device, dtype=dtype)

    def _uniform_items(self, count: int) -> Tensor:
        return torch.randint(self._items, (count,), generator=self._generator, device=self._device)
