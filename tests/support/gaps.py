"""What others do between a store's being read and its being written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from feast_bc.online.postgres.reader import PostgresReader
from feast_bc.online.reader import StoreReader
from feast_bc.online.redis.reader import RedisReader
from feast_bc.online.request import STATES, Column, Request
from feast_bc.online.sqlite.reader import SqliteReader


@contextmanager
def in_the_gap(action: Callable[[], object], *, reading: int = 1) -> Iterator[None]:
    """Have others act after this thread's reading of states of that number, before it writes.

    They are waited for, but where SQLite makes them wait for this thread.
    """
    owner, seen = threading.current_thread(), 0
    failed: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=act)

    def hooked(original: Callable[[StoreReader, Request], list[Column]]) -> object:
        def read(self: StoreReader, request: Request) -> list[Column]:
            nonlocal seen
            found = original(self, request)
            if threading.current_thread() is owner and request.wanted == (STATES,):
                seen += 1
                if seen == reading:
                    other.start()
                    other.join(0.5 if isinstance(self, SqliteReader) else 60)
            return found

        return read

    with pytest.MonkeyPatch.context() as patch:
        for reader in (PostgresReader, RedisReader, SqliteReader):
            patch.setattr(reader, "read", hooked(reader.read))  # type: ignore[arg-type]
        yield
    assert seen >= reading
    other.join()
    assert not failed, failed
