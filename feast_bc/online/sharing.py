"""Sharing work out between workers that each do one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Event, Lock
from typing import TypeVar

_Item = TypeVar("_Item")


def share_out(items: Iterable[_Item], workers: Sequence[Callable[[_Item], None]]) -> None:
    """Have every item done by some worker, each in a thread of its own.

    A single worker stays in this thread. After an error no further item is begun, and what has
    been begun is waited for.

    Args:
        items: are taken one after the other.
        workers: what does an item.

    Raises:
        Exception: what a worker raised.
    """
    if len(workers) == 1:
        for item in items:
            workers[0](item)
        return
    waiting, taking, stopped = iter(items), Lock(), Event()

    def run(worker: Callable[[_Item], None]) -> None:
        while not stopped.is_set():
            try:
                with taking:
                    taken = list(islice(waiting, 1))
                if not taken:
                    return
                worker(taken[0])
            except BaseException:
                stopped.set()
                raise

    with ThreadPoolExecutor(len(workers)) as pool:
        running = [pool.submit(run, worker) for worker in workers]
        try:
            for each in running:
                each.result()
        finally:
            stopped.set()
