"""The present, as tests show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feast_bc import clock
from feast_bc.columns.instants import to_micros
from tests.support.families import at

_real = clock.now
_shown: list[list[int]] = []


@contextmanager
def shown(hour: float) -> Iterator[None]:
    """The clock shows an hour.

    Threads may do so at once, where patching would leave one's clock behind as another's original.
    """
    mine = [to_micros(at(hour))]
    _shown.append(mine)
    clock.now = _now
    try:
        yield
    finally:
        del _shown[next(i for i, each in enumerate(_shown) if each is mine)]


def _now() -> int:
    return _shown[-1][0] if _shown else _real()
