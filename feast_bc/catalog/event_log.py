"""What happened to the versions of an embedding after they were published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from feast_bc.catalog.event import ACTIVATE, RETIRE, Event
from feast_bc.catalog.files import CatalogFiles
from feast_bc.errors import ArtifactError, CatalogError, VersionConflictError
from feast_bc.rule import Activation

_RACES = 20


@dataclass(frozen=True)
class State:
    """What a history amounts to.

    Attributes:
        activations: per version, its activations in the order they were recorded.
        retired: the versions whose view is no longer offered.
        released: the newest version that was active right after the last activation; None before
            the first. A rollback does not change it.
    """

    activations: Mapping[int, tuple[Activation, ...]] = field(default_factory=dict)
    retired: frozenset[int] = frozenset()
    released: int | None = None

    def open_activation(self, version: int) -> Activation | None:
        """The activation of `version` that was not rolled back, if there is one."""
        last = self.activations.get(version, ())[-1:]
        return last[0] if last and last[0].active_until is None else None

    def rolled_back(self, version: int) -> datetime | None:
        """The instant at which the last activation of `version` ended, if it has one and it did."""
        last = self.activations.get(version, ())[-1:]
        return last[0].active_until if last else None

    def is_activated(self, version: int, at: datetime | None) -> bool:
        """Whether `version` is active from `at`; None asks for an instant that has come."""
        open_one = self.open_activation(version)
        return open_one is not None and _is(open_one.active_from, at)

    def is_rolled_back(self, version: int, at: datetime | None) -> bool:
        """Whether `version` was rolled back at `at`; None asks for an instant that has come."""
        until = self.rolled_back(version)
        return until is not None and _is(until, at)

    def after(self, event: Event) -> State:
        """The state that `event` leads to.

        Raises:
            CatalogError: the event cannot follow this state; the message says why.
        """
        version, open_one = event.version, self.open_activation(event.version)
        before = self.activations.get(version, ())
        if event.event == RETIRE:
            return replace(self, retired=self.retired | {version})
        if event.at is None:
            raise CatalogError(f"{event.event} of version {version} names no instant.")
        if event.event == ACTIVATE:
            if open_one:
                raise CatalogError(
                    f"version {version} is active already, from "
                    f"{open_one.active_from.isoformat()}. Roll it back before you activate it "
                    "from another instant."
                )
            after = self._with(version, (*before, Activation(event.at)))
            active = (v for v in after.activations if after.open_activation(v))
            return replace(after, released=max(active))
        if open_one is None:
            until = self.rolled_back(version)
            if until is None:
                raise CatalogError(f"version {version} is not active: nothing to roll back.")
            raise CatalogError(
                f"version {version} was rolled back already, from {until.isoformat()} on. Activate "
                "it again before you roll it back at another instant."
            )
        if event.at < open_one.active_from:
            raise CatalogError(
                f"version {version} is active from {open_one.active_from.isoformat()}; a rollback "
                f"at {event.at.isoformat()} lies before that. Roll back at "
                f"{open_one.active_from.isoformat()} to undo the whole activation."
            )
        return self._with(version, (*before[:-1], Activation(open_one.active_from, event.at)))

    def _with(self, version: int, activations: tuple[Activation, ...]) -> State:
        return replace(self, activations={**self.activations, version: activations})


def _is(instant: datetime, asked: datetime | None) -> bool:
    return instant <= datetime.now(timezone.utc) if asked is None else instant == asked


def fold(events: Sequence[Event]) -> State:
    """The state after all `events`. Raises CatalogError where one cannot follow the others."""
    state = State()
    for number, event in enumerate(events, start=1):
        try:
            state = state.after(event)
        except CatalogError as error:
            raise CatalogError(f"event {number} of {len(events)}: {error}") from error
    return state


class EventLog:
    """The append-only log of one embedding: `<embedding>/events/000001.json`, 000002, ...

    Args:
        files: the catalog's files.
        embedding: the embedding's name.
    """

    def __init__(self, files: CatalogFiles, embedding: str) -> None:
        self._files = files
        self._embedding = embedding
        self._folder = f"{embedding}/events"

    def read(self) -> list[Event]:
        """All events, oldest first.

        Raises:
            ArtifactError: a file of the log is missing or malformed.
        """
        names = [n for n in self._files.list(self._folder) if re.fullmatch(r"\d{6}\.json", n)]
        events = []
        for number, name in enumerate(names, start=1):
            path = self._path(number)
            if path != f"{self._folder}/{name}":
                raise ArtifactError(
                    f"{self._files.uri(path)} is missing, but {name} is there; the event log has "
                    "no gaps. Restore the file."
                )
            events.append(Event.loads(self._files.read(path), of=self._files.uri(path)))
        return events

    def append(self, make: Callable[[State], Event | None]) -> tuple[list[Event], bool]:
        """Record one event; of two writers at once, the second sees what the first did.

        Args:
            make: the event to record in a given state; None if nothing has to be recorded. It is
                asked again when somebody else recorded an event first.

        Returns:
            All events, oldest first, and whether one was recorded.

        Raises:
            CatalogError: the event cannot follow the history.
            VersionConflictError: other writers were faster every time.
        """
        for _ in range(_RACES):
            events = self.read()
            state = fold(events)
            event = make(state)
            if event is None:
                return events, False
            try:
                state.after(event)
            except CatalogError as error:
                raise CatalogError(f"{self._embedding} {error}") from error
            data = event.dumps()
            path = self._path(len(events) + 1)
            try:
                self._files.create(path, data)
            except FileExistsError:
                # A filesystem that retries a write may meet the file of its own first attempt.
                if self._files.read(path) != data:
                    continue
            return [*events, event], True
        raise VersionConflictError(
            f"{self._embedding}: other processes keep changing it; {_RACES} attempts to record "
            "an event failed. Look at `feast-bc versions` and try again."
        )

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:06d}.json"
