"""Reading vectors from an online store as columns of stored bytes.

What is read is planned by generators that know nothing of stores: they yield a `Request`, are
sent the rows, and return a result. So one plan serves sync and async reads of every store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from feast_bc.activation import NEVER, Instants
from feast_bc.vectors import Mask

Positions = npt.NDArray[np.int64]


class Wanted(NamedTuple):
    """One stored view to read.

    Attributes:
        version: which version's rows; None for the rows of the view that is read.
        native: that version's native rows, or else the values of its view.
        value: whether to read vectors too, or timestamps only.
    """

    version: int | None
    value: bool = True
    native: bool = True


class Request(NamedTuple):
    """Stored views to read for some of the entities, all in one round trip.

    Attributes:
        wanted: which ones.
        positions: which of the entities; None for all.
        instants: whether timestamps are needed beside vectors; a direct reader then saves them.
    """

    wanted: tuple[Wanted, ...]
    positions: Positions | None = None
    instants: bool = True


class StoredRows:
    """The rows of one stored view, aligned with the entities that were asked for.

    Args:
        values: `n` serialized vectors; None where there is no row, or where only timestamps were
            asked for.
        instants: gives `instants`; asked when somebody looks at them.
    """

    def __init__(self, values: Sequence[bytes | None], instants: Callable[[], Instants]) -> None:
        self.values = values
        self._instants = instants

    @cached_property
    def instants(self) -> Instants:
        """Shape `(n,)`, the rows' event timestamps in microseconds.

        NEVER without a row, and where timestamps were not needed.
        """
        return self._instants()

    @property
    def present(self) -> Mask:
        """Shape `(n,)`, whether there is a row."""
        mask: Mask = self.instants != NEVER
        return mask


_Result = TypeVar("_Result")

Plan = Generator[Request, Sequence[StoredRows], _Result]
Read = Callable[[Request], Sequence[StoredRows]]
ReadAsync = Callable[[Request], Awaitable[Sequence[StoredRows]]]


def run(plan: Plan[_Result], read: Read) -> _Result:
    """Carry out a plan."""
    try:
        request = next(plan)
        while True:
            request = plan.send(read(request))
    except StopIteration as stop:
        result: _Result = stop.value
        return result


async def run_async(plan: Plan[_Result], read: ReadAsync) -> _Result:
    """Carry out a plan without blocking the event loop."""
    try:
        request = next(plan)
        while True:
            request = plan.send(await read(request))
    except StopIteration as stop:
        result: _Result = stop.value
        return result


def take(items: Sequence[_Result], positions: Positions | None) -> Sequence[_Result]:
    """The items at some positions; all of them for None."""
    return items if positions is None else [items[i] for i in positions.tolist()]
