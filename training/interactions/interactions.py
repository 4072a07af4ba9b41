"""Interactions of users with items, coded so that no vocabulary looks into the future."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.interactions.item_attributes import ItemAttributes, read_item_attributes
from training.interactions.readers import read_interactions

BUNDLED = Path(__file__).parents[1] / "data" / "online_retail_ii.parquet"

Codes = npt.NDArray[np.int64]
Instants = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Interactions:
    """`n` interactions in order of time, and the entities behind their codes.

    Users and items are coded in the order of their first purchase, so those known at an instant are
    a prefix of `user_ids` and `item_ids`. A code says nothing about later interactions, and a
    model's tables grow by appending.

    Attributes:
        user, item: shape `(n,)`; positions in `user_ids` and `item_ids`.
        timestamp: datetime64[us], UTC, shape `(n,)`, ascending.
        cancelled: bool, shape `(n,)`; true for a cancellation, false for a purchase.
        amount: float64, shape `(n,)`; quantity times unit price, NaN where the data has neither.
        price: float64, shape `(n,)`; the unit price, NaN where the data has none.
        rating: float64, shape `(n,)`; NaN where the data has none.
        user_ids, item_ids: the distinct ids, as the data spells them.
        attributes: of the items; None where no file of them was given.
    """

    user: Codes
    item: Codes
    timestamp: Instants
    cancelled: npt.NDArray[np.bool_]
    amount: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    rating: npt.NDArray[np.float64]
    user_ids: pa.Array
    item_ids: pa.Array
    attributes: ItemAttributes | None = None

    def __len__(self) -> int:
        return len(self.user)

    def where(self, mask: npt.NDArray[np.bool_]) -> Interactions:
        """The interactions under a bool mask of shape `(n,)`; codes keep their meaning."""
        return Interactions(
            self.user[mask],
            self.item[mask],
            self.timestamp[mask],
            self.cancelled[mask],
            self.amount[mask],
            self.price[mask],
            self.rating[mask],
            self.user_ids,
            self.item_ids,
            self.attributes,
        )

    def with_attributes(self, path: str | Path) -> Interactions:
        """With what a file says of the items; see `read_item_attributes`."""
        return replace(self, attributes=read_item_attributes(Path(path), self.item_ids))

    def purchases(self) -> Interactions:
        """Without the cancellations."""
        return self.where(~self.cancelled)

    def between(self, after: np.datetime64, until: np.datetime64) -> Interactions:
        """Those with `after < timestamp <= until`."""
        return self.where((self.timestamp > after) & (self.timestamp <= until))

    def until(self, instant: np.datetime64) -> Interactions:
        """Those with `timestamp <= instant`."""
        return self.where(self.timestamp <= instant)


def load(path: str | Path = BUNDLED, **columns: str) -> Interactions:
    """Read interactions from a parquet, CSV or JSON lines file; see `read_interactions`.

    Args:
        path: the file.
        columns: the names of the columns `user`, `item`, `timestamp` and `rating`, where the
            file is of no known format. The columns `cancelled` (bool), `quantity` and
            `unit_price` are used where the file has them.

    Raises:
        ValueError: a column is missing, or a row does not fit.
    """
    table = read_interactions(Path(path), columns)
    count = len(table)
    when = table["timestamp"].to_numpy().astype("datetime64[us]")
    cancelled = _column(table, "cancelled", np.zeros(count, bool)).astype(bool)
    unknown = np.full(count, np.nan)
    price = _column(table, "unit_price", unknown).astype(np.float64)
    amount = (_column(table, "quantity", unknown) * price).astype(np.float64)
    rating = _column(table, "rating", unknown)
    order = np.argsort(when, kind="stable")
    users, user_ids = _code(table["user"], order, ~cancelled)
    items, item_ids = _code(table["item"], order, ~cancelled)
    # A user or item that is only ever cancelled has no code, hence no vector.
    order = order[(users[order] >= 0) & (items[order] >= 0)]
    return Interactions(
        users[order],
        items[order],
        when[order],
        cancelled[order],
        amount[order],
        price[order],
        rating[order],
        user_ids,
        item_ids,
    )


def _column(table: pa.Table, name: str, default: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return table[name].to_numpy() if name in table.column_names else default


def _code(
    column: pa.ChunkedArray, order: Codes, is_purchase: npt.NDArray[np.bool_]
) -> tuple[Codes, pa.Array]:
    """Codes by first purchase in `order`, shape `(n,)`, -1 where there is none; and the ids."""
    ids = column.take(pa.array(order[is_purchase[order]])).unique()
    codes = pc.fill_null(pc.index_in(column, ids), -1)
    return codes.to_numpy().astype(np.int64), ids
