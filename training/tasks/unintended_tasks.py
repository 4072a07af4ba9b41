"""The unintended tasks of an experiment: yes-or-no questions about users, items and pairs.

The paper's five where there are ratings, and what a shop would ask. Thresholds are those of the
consumer's birth and stay frozen with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from training.interactions.interactions import Codes, Interactions
from training.interactions.slices import Slice
from training.tasks.attribute_tasks import ATTRIBUTE_TASKS
from training.tasks.consumer import Labels, per_user, will_buy, will_cancel, will_spend
from training.tasks.examples import Examples, Moment, Task, of_items, of_users

_AT_LEAST = 10  # interactions of an item whose statistics are asked for (the paper's)
_GOOD = 4.0  # stars (the paper's)
_MOST_PAIRS = 20_000


def activity(at: Moment) -> Examples:
    """Will the user buy anything in the window?"""
    return of_users(will_buy(at.window(at.now), at.users(at.now)))


def spend(at: Moment) -> Examples:
    """Will the user spend as much as the upper quarter of buyers in the birth's window?"""
    before = at.window(at.birth).purchases()
    spent = per_user(before, at.users(at.birth), before.amount)
    level = float(np.quantile(spent[spent > 0], 0.75))
    return of_users(will_spend(at.window(at.now), at.users(at.now), level=level))


def cancel(at: Moment) -> Examples:
    """Will the user cancel anything in the window?"""
    return of_users(will_cancel(at.window(at.now), at.users(at.now)))


def positive_activity(at: Moment) -> Examples:
    """Will the user give four stars or more in the window?"""
    window = at.window(at.now)
    good = window.where(window.rating >= _GOOD)
    return of_users(will_buy(good, at.users(at.now)))


def item_demand(at: Moment) -> Examples:
    """Will the item sell more often than the median of those sold in the birth's window?"""
    before = _count(at.window(at.birth).purchases().item, at.items(at.birth))
    level = float(np.median(before[before > 0]))
    sold = _count(at.window(at.now).purchases().item, at.items(at.now))
    return of_items(at, np.arange(len(sold)), sold > level)


def item_price(at: Moment) -> Examples:
    """Does the item cost more than the median item did at the birth?"""
    return _by_statistic(at, lambda rows, count: _mean(rows, rows.price, count))


def item_cancellation(at: Moment) -> Examples:
    """Is the item cancelled more often than the median item was at the birth?"""
    return _by_statistic(at, lambda rows, count: _mean(rows, rows.cancelled, count))


def item_rating_avg(at: Moment) -> Examples:
    """Is the item's mean rating above the median item's at the birth?"""
    return _by_statistic(at, lambda rows, count: _mean(rows, rows.rating, count))


def item_rating_std(at: Moment) -> Examples:
    """Is the (unbiased) standard deviation of the item's ratings above 1?"""

    def deviation(rows: Interactions, count: int) -> npt.NDArray[np.float64]:
        number = np.bincount(rows.item, minlength=count)
        centred = rows.rating - _mean(rows, rows.rating, count)[rows.item]
        squares = np.bincount(rows.item, centred**2, minlength=count)
        return np.sqrt(squares / np.maximum(number - 1, 1))

    return _by_statistic(at, deviation, threshold=1.0)


def edge_rating(at: Moment) -> Examples:
    """Does the user give the item four stars or more in the window? Known users and items."""
    window = at.window(at.now)
    known = (window.user < at.users(at.now)) & (window.item < at.items(at.now))
    rows = window.where(known)
    return Examples(rows.rating >= _GOOD, rows.user, rows.item)


def repeat_purchase(at: Moment) -> Examples:
    """Will the user buy the item again in the window? A sample of the pairs bought so far."""
    items = at.items(at.now)
    past = at.all.purchases().until(at.now.end)
    pairs = np.unique(past.user * items + past.item)
    some = np.random.default_rng(0).permutation(len(pairs))[:_MOST_PAIRS]
    pairs = pairs[np.sort(some)]
    window = at.window(at.now).purchases()
    again = window.where(window.item < items)
    labels = np.isin(pairs, again.user * items + again.item)
    return Examples(labels, pairs // items, pairs % items)


TASKS: Mapping[str, Task] = {
    task.__name__: task
    for task in (
        activity,
        spend,
        cancel,
        positive_activity,
        item_demand,
        item_price,
        item_cancellation,
        item_rating_avg,
        item_rating_std,
        edge_rating,
        repeat_purchase,
        *ATTRIBUTE_TASKS,
    )
}


def _by_statistic(
    at: Moment,
    statistic: Callable[[Interactions, int], npt.NDArray[np.float64]],
    threshold: float | None = None,
) -> Examples:
    """Items known at `now` with enough interactions up to the window's end, as in the paper."""

    def known(of: Slice) -> tuple[Codes, npt.NDArray[np.float64]]:
        count = at.items(of)
        rows = at.all.until(of.test_end)
        rows = rows.where(rows.item < count)
        enough = np.flatnonzero(np.bincount(rows.item, minlength=count) >= _AT_LEAST)
        return enough, statistic(rows, count)[enough]

    if threshold is None:
        threshold = float(np.median(known(at.birth)[1]))
    items, values = known(at.now)
    # Strictly above: the median may be a common value, such as that of items never cancelled.
    return of_items(at, items, values > threshold)


def _count(codes: Codes, known: int) -> npt.NDArray[np.int64]:
    """How often each of the known codes occurs, shape `(known,)`."""
    return np.bincount(codes[codes < known], minlength=known)


def _mean(
    rows: Interactions, values: npt.NDArray[np.float64] | Labels, count: int
) -> npt.NDArray[np.float64]:
    number = np.bincount(rows.item, minlength=count)
    return np.bincount(rows.item, values, minlength=count) / np.maximum(number, 1)
