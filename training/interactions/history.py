"""What every user has bought up to an instant, as sparse matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from training.interactions.interactions import Codes, Interactions

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class History:
    """The purchases up to an instant; only users and items known by then have a row or column.

    Attributes:
        instant: the last instant that was looked at.
        bought: float32 CSR of shape `(users, items)`; 1 where the user bought the item.
        recency: the same pattern; 0.5 ** (age of the pair's last purchase / half-life).
        user_ids, item_ids: the ids of rows and columns.
        item_tokens: by feature ("id"; where the data has attributes, "category" and "brand"): the
            code of each item's token, int64, shape `(items,)`, -1 for none. Tokens are coded in
            the order of items, so those known at an earlier instant are the first ones.
    """

    instant: np.datetime64
    bought: sp.csr_matrix
    recency: sp.csr_matrix
    user_ids: pa.Array
    item_ids: pa.Array
    item_tokens: Mapping[str, Codes]


def history(
    interactions: Interactions, instant: np.datetime64, *, half_life_days: float = 60
) -> History:
    """Everything bought with `timestamp <= instant`."""
    seen = interactions.purchases().until(instant)
    users, items = int(seen.user.max()) + 1, int(seen.item.max()) + 1
    pair = seen.user * items + seen.item
    # Rows ascend in time: the first occurrence in reverse is the last purchase of a pair.
    pairs, last = np.unique(pair[::-1], return_index=True)
    age = (instant - seen.timestamp[::-1][last]) / _DAY
    where = (pairs // items, pairs % items)
    ones = np.ones(len(pairs), np.float32)
    weight = (0.5 ** (age / half_life_days)).astype(np.float32)
    return History(
        instant,
        sp.csr_matrix((ones, where), shape=(users, items)),
        sp.csr_matrix((weight, where), shape=(users, items)),
        seen.user_ids[:users],
        seen.item_ids[:items],
        _tokens(seen, items),
    )


def _tokens(seen: Interactions, items: int) -> dict[str, Codes]:
    found = {"id": np.arange(items)}
    if seen.attributes is not None:
        for name in ("category", "brand"):
            found[name] = pd.factorize(getattr(seen.attributes, name)[:items])[0]
    return found
