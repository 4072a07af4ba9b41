"""Reading an online store as columns of stored bytes.

What is read is planned by generators that know nothing of stores: they yield a `Request`, are
sent the columns, and return a result. So one plan serves sync and async reads of every store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Literal, NamedTuple, TypeVar

from feast_bc.columns.arrays import RowNumbers


class Wanted(NamedTuple):
    """One stored view to read.

    Attributes:
        what: the values of the view that is read, the family's states, or native vectors.
        version: whose native vectors.
    """

    what: Literal["values", "states", "natives"]
    version: int = 0


VALUES = Wanted("values")
STATES = Wanted("states")


class Request(NamedTuple):
    """Stored views to read for some of the entities, all in one round trip.

    Attributes:
        wanted: which ones.
        positions: which of the entities; None for all.
    """

    wanted: tuple[Wanted, ...]
    positions: RowNumbers | None = None


Column = Sequence["bytes | None"]
"""Per entity the serialized `Value` of one stored view; None where there is none."""

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")

Reading = Generator[Request, Sequence[Column], _Result]
Read = Callable[[Request], Sequence[Column]]
ReadAsync = Callable[[Request], Awaitable[Sequence[Column]]]


def run(reading: Reading[_Result], read: Read) -> _Result:
    """Carry out what was planned."""
    try:
        request = next(reading)
        while True:
            request = reading.send(read(request))
    except StopIteration as stop:
        result: _Result = stop.value
        return result


async def run_async(reading: Reading[_Result], read: ReadAsync) -> _Result:
    """The same without blocking the event loop."""
    try:
        request = next(reading)
        while True:
            request = reading.send(await read(request))
    except StopIteration as stop:
        result: _Result = stop.value
        return result


def take(items: Sequence[_Item], positions: RowNumbers | None) -> Sequence[_Item]:
    """The items at some positions; all of them for None."""
    return items if positions is None else [items[i] for i in positions.tolist()]
