"""A process that is killed at one of the things it does to online stores and registries."""

from __future__ import annotations

import _sqlite3
import ctypes
import socket
from collections.abc import Callable
from typing import Any

from tests.support.kills import Kill

_PIECES = 6
"""A send is cut so often. Many commands go with one: most cuts are inside of a command."""

_Call = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_CallAt = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_Unlink = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)

_GetCall = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_SetCall = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


class _FileSystem(ctypes.Structure):
    """SQLite's `sqlite3_vfs`, whose system calls a test may replace."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("methods", ctypes.c_void_p * 13),
        ("set_call", _SetCall),
        ("get_call", _GetCall),
        ("next_call", ctypes.c_void_p),
    )


_kept: list[object] = []
"""What C calls has to live on."""


def count_stores(kill: Kill) -> None:
    """Count each piece of what is sent, and each half of what SQLite writes, truncates, unlinks.

    SQLite commits by unlinking its journal. What it syncs is counted with the write before: to a
    process that is killed it makes no difference.
    """
    _count_sends(kill)
    _count_sqlite(kill)


def _count_sends(kill: Kill) -> None:
    original = socket.socket.sendall

    def sendall(self: socket.socket, data: Any, *flags: int) -> None:
        whole = memoryview(data).cast("B")
        size = max(1, -(-len(whole) // _PIECES))
        for start in range(0, len(whole), size):
            kill.step()
            original(self, whole[start : start + size], *flags)

    setattr(socket.socket, "sendall", sendall)  # noqa: B010 - a method of a class


def _count_sqlite(kill: Kill) -> None:
    library = ctypes.CDLL(_sqlite3.__file__)  # finds the names of what it was linked with
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_FileSystem)
    pointer = library.sqlite3_vfs_find(None)
    files: _FileSystem = pointer.contents
    assert files.version >= 3

    def replace(name: bytes, kind: Any, make: Callable[[Any], Callable[..., int]]) -> None:
        address = files.get_call(pointer, name)
        if address:
            call = kind(make(kind(address)))
            _kept.append(call)
            assert files.set_call(pointer, name, ctypes.cast(call, ctypes.c_void_p)) == 0

    def torn(original: Any) -> Callable[..., int]:
        def write(file: int, data: int, size: int, *at: int) -> int:
            half = size // 2
            kill.step()
            done: int = original(file, data, half, *at)
            if done != half:
                return done
            kill.step()
            rest: int = original(file, data + half, size - half, *(place + half for place in at))
            return rest if rest < 0 else half + rest

        return write

    def whole(original: Any) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            kill.step()
            result: int = original(*arguments)
            return result

        return call

    replace(b"write", _Call, torn)
    replace(b"pwrite", _CallAt, torn)
    replace(b"pwrite64", _CallAt, torn)
    replace(b"ftruncate", _Truncate, whole)
    replace(b"unlink", _Unlink, whole)
