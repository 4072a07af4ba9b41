"""Running a history, or a part of it, in a fresh repo; and finding the smallest part that fails."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.checker.histories import History
from tests.checker.steps import Step
from tests.checker.world import World

Numbered = Sequence[tuple[int, Step]]
"""Steps with their positions in the history, on which what is read depends."""


@dataclass
class Outcome:
    """What a replay came to.

    Attributes:
        counts: what was done and compared.
        steps: the steps up to the one that failed, or all of them.
        error: what it failed with.
    """

    counts: Counter[str]
    steps: list[tuple[int, Step]] = field(default_factory=list)
    error: Exception | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Two failures of one kind are taken for the same fault."""
        found, _, expected = str(self.error).partition("; expected ")
        words = ("online", "offline", "null", "pushed", "event timestamp", "space")
        return (
            type(self.error),
            type(self.steps[-1][1]),
            *(word in found for word in words),
            *(word in expected for word in words),
        )


def replay(history: History, redis: str | None, steps: Numbered | None = None) -> Outcome:
    """Run a history.

    Args:
        history: what to run.
        redis: the address of the Redis server that is the online store; None for SQLite.
        steps: the part of the history to run; None for all of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        online: dict[str, object] = (
            {"type": "redis", "connection_string": redis}
            if redis
            else {"type": "sqlite", "path": f"{folder}/online.db"}
        )
        world = World(Path(folder), history, online)
        outcome = Outcome(world.counts)
        try:
            for position, step in enumerate(history.steps) if steps is None else steps:
                outcome.steps.append((position, step))
                world.take(step, f"{history.seed} {position}")
            world.finish()
        except Exception as error:  # whatever it is, it belongs into the report
            outcome.error = error
        return outcome


def shortest(history: History, redis: str | None, failed: Outcome, seconds: float) -> Outcome:
    """A part of a history that fails in the same way, from which no step can be left out.

    Args:
        history: the history.
        redis: as on `replay`.
        failed: what it came to.
        seconds: how long to try.
    """
    until = time.monotonic() + seconds
    size = len(failed.steps) // 2
    while size:
        start = len(failed.steps) - size
        while start >= 0 and time.monotonic() < until:
            steps = failed.steps[:start] + failed.steps[start + size :]
            found = replay(history, redis, steps)
            if found.error is not None and found.kind == failed.kind:
                failed = found
            start = min(start, len(failed.steps)) - size
        size //= 2
    return failed
