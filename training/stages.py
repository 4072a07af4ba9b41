"""Progress of a long command."""

from __future__ import annotations

import time

from tqdm import tqdm


class Stages:
    """Prints one line per stage, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, done: str) -> None:
        # Above a bar, where one is shown.
        tqdm.write(f"[{time.monotonic() - self._start:6.1f} s] {done}")
