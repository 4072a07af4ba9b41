"""The log of an embedding: the one place where a change of the catalog is committed."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from feast_bc.catalog.event import Event
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.state import State, fold
from feast_bc.errors import ArtifactError, CatalogError, VersionConflictError
from feast_bc.transforms.artifact import digest

_RACES = 200
_PAUSE = 0.01
"""Seconds that a writer waits at most, per race that it lost in a row."""


@dataclass(frozen=True)
class History:
    """The events of an embedding, oldest first.

    Attributes:
        events: what happened.
        digests: hex sha256 of each event's file.
    """

    events: tuple[Event, ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def head(self) -> str | None:
        """The digest of the last event; None where there is none."""
        return self.digests[-1] if self.digests else None

    def then(self, event: Event, data: bytes) -> History:
        """This history with one event more, whose file holds `data`."""
        return History((*self.events, event), (*self.digests, digest(data)))


class EventLog:
    """The append-only log of one embedding: `<embedding>/events/000001.json`, 000002, ...

    Each event names the digest of the one before it, so that a log cannot be exchanged for another
    one, in part or as a whole, without being noticed.

    Args:
        files: the catalog's files.
        embedding: the embedding's name.
    """

    def __init__(self, files: CatalogFiles, embedding: str) -> None:
        self._files = files
        self._embedding = embedding
        self._folder = f"{embedding}/events"

    def read(self, known: History | None = None) -> History:
        """All events.

        Args:
            known: what was read before; only later events are read then.

        Raises:
            ArtifactError: a file of the log is missing, malformed, or follows another log.
        """
        history = known or History()
        names = [n for n in self._files.list(self._folder) if re.fullmatch(r"\d{6}\.json", n)]
        for number, name in enumerate(names, start=1):
            path = self._path(number)
            if path != f"{self._folder}/{name}":
                raise ArtifactError(
                    f"{self._files.uri(path)} is missing, but {name} is there; the event log has "
                    "no gaps. Restore the file."
                )
            if number > len(history.events):
                history = self._follow(history, path)
        return history

    def append(
        self, make: Callable[[State], Event | None], history: History, start: State
    ) -> tuple[History, bool]:
        """Record one event; of two writers at once, the second sees what the first did.

        Args:
            make: the event to record in a given state; None if nothing has to be recorded. It is
                asked again when somebody else recorded an event first.
            history: what `read` gave.
            start: the state before the first event.

        Returns:
            All events, and whether one was recorded.

        Raises:
            CatalogError: the event cannot follow the history.
            VersionConflictError: other writers were faster every time.
        """
        for race in range(_RACES):
            state = fold(history.events, start)
            event = make(state)
            if event is None:
                return history, False
            try:
                state.after(event)
            except CatalogError as error:
                raise CatalogError(f"{self._embedding} {error}") from error
            event = event.model_copy(update={"parent": history.head})
            data = event.dumps()
            path = self._path(len(history.events) + 1)
            try:
                self._files.create(path, data)
            except FileExistsError:
                # A filesystem that retries a write may meet the file of its own first attempt.
                if self._files.read(path) != data:
                    time.sleep(random.uniform(0, _PAUSE * min(race, 20)))  # noqa: S311 - no secret
                    history = self.read(history)
                    continue
            return history.then(event, data), True
        raise VersionConflictError(
            f"{self._embedding}: other processes keep changing it; {_RACES} attempts to record "
            "an event failed. Look at `feast-bc versions` and try again."
        )

    def _follow(self, history: History, path: str) -> History:
        """`history` with the event of a file."""
        uri = self._files.uri(path)
        try:
            data = self._files.read(path)
        except FileNotFoundError:
            raise ArtifactError(f"{uri} is gone; the event log has no gaps. Restore it.") from None
        event = Event.loads(data, of=uri)
        if event.schema_version > 1 and event.parent != history.head:
            raise ArtifactError(
                f"{uri}: expected an event that follows {history.head} (the sha256 of the event "
                f"file before it), found one that follows {event.parent}. An event was changed, or "
                "files of two logs were mixed: restore the folder from one backup."
            )
        return history.then(event, data)

    def _path(self, number: int) -> str:
        return event_path(self._embedding, number)


def event_path(embedding: str, number: int) -> str:
    """Where an event stands below the catalog's root; the first has number 1."""
    return f"{embedding}/events/{number:06d}.json"
