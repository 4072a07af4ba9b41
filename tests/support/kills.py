"""A process that is killed at one of the things it does to files."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kill:
    """Counts down to the end of this process."""

    def __init__(self, number: int) -> None:
        self.left = number

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str) -> None:
        """Count a function of the system."""
        original = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return original(*args, **kwargs)

        setattr(owner, name, counting)


class _TornFile:
    """A file whose writes can end in the middle."""

    def __init__(self, file: Any, kill: Kill) -> None:
        self._file = file
        self._kill = kill

    def write(self, data: bytes) -> None:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            self._kill.step()
            self._file.write(half)
            self._file.flush()

    def __enter__(self) -> _TornFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def killed(action: Callable[[], object], number: int) -> bool:
    """Do something in a child that is killed before its file operation of that number.

    Counted are the making of folders, the opening of files to write, each half of what is written,
    fsync, link, rename and unlink.

    Returns:
        False if the action ended before.
    """
    child = os.fork()
    if not child:
        try:
            _count(Kill(number))
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _count(kill: Kill) -> None:
    for owner, name in (
        (os, "fsync"),
        (os, "link"),
        (os, "replace"),
        (Path, "mkdir"),
        (Path, "unlink"),
    ):
        kill.before(owner, name)
    original = Path.open

    def open_torn(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "x" not in mode and "w" not in mode:
            return original(path, mode, *args, **kwargs)
        kill.step()
        return _TornFile(original(path, mode, *args, **kwargs), kill)

    setattr(Path, "open", open_torn)  # noqa: B010 - Path.open is overloaded
