"""Unintended tasks about what an item is, as its attributes say; see `unintended_tasks`.

An item's answer never changes: a consumer learns it on one half of the items.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.interactions.item_attributes import ItemAttributes, Strings
from training.tasks.examples import Examples, Moment, of_items

_COMMON = 0.25  # the share of the items that have a common category, or a common brand


def item_list_price(at: Moment) -> Examples:
    """Does the item's list price exceed the median of the items known at the birth?"""
    price = _attributes(at).price
    items = np.flatnonzero(~np.isnan(price[: at.items(at.now)]))
    threshold = np.nanmedian(price[: at.items(at.birth)])
    return of_items(at, items, price[items] > threshold)


def item_common_category(at: Moment) -> Examples:
    """Is the item's category one of the most common, which together hold a quarter of items?"""
    return _common(at, _attributes(at).category)


def item_common_brand(at: Moment) -> Examples:
    """Is the item's brand one of the most common, which together hold a quarter of items?"""
    return _common(at, _attributes(at).brand)


ATTRIBUTE_TASKS = (item_list_price, item_common_category, item_common_brand)


def _common(at: Moment, values: Strings) -> Examples:
    """Which values are common is decided at the birth; items without a value are left out."""
    shares = pd.Series(values[: at.items(at.birth)]).value_counts(normalize=True)
    common = shares.index[: int(np.searchsorted(shares.cumsum(), _COMMON)) + 1]
    items = np.flatnonzero(pd.notna(values[: at.items(at.now)]))
    return of_items(at, items, np.isin(values[items].astype(str), common.to_numpy(str)))


def _attributes(at: Moment) -> ItemAttributes:
    if at.all.attributes is None:
        raise ValueError("This task asks for item attributes; name their file with `items`.")
    return at.all.attributes
