"""Packed commands and their replies, over one connection of a Redis client."""

from __future__ import annotations

from typing import Any

from redis import Redis


class Exchange:
    """Packed commands over one connection of the client's pool."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool

    def __enter__(self) -> Exchange:
        self._connection: Any = self._pool.get_connection()  # redis-py's types stop here
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Replies that nobody has read must not answer somebody else.
            self._connection.disconnect()
        self._pool.release(self._connection)

    def ask(self, commands: bytes | memoryview, count: int) -> list[Any]:
        """Send `count` commands, then read their replies; an error reply is raised."""
        self._connection.send_packed_command([commands])
        read = self._connection.read_response
        return [read(disable_decoding=True) for _ in range(count)]
