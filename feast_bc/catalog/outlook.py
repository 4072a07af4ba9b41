"""What an activation or a rollback would change, before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from feast_bc.catalog.event import Event
from feast_bc.catalog.shelf import Shelf
from feast_bc.catalog.state import State
from feast_bc.columns.instants import to_micros
from feast_bc.errors import CatalogError
from feast_bc.rule import active_at


@dataclass(frozen=True)
class Outlook:
    """Which versions serve a view before and after an event.

    Attributes:
        version: j, of the view.
        before, after: the versions that may give an entity its value, the first that has it
            first.
    """

    version: int
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def changes(self) -> bool:
        """Whether the view is served differently."""
        return self.before != self.after


def outlook(shelf: Shelf, event: Event, at: datetime) -> list[Outlook]:
    """Which versions serve each view that is offered, at an instant, without and with an event.

    Raises:
        CatalogError: the event cannot follow the history.
    """
    try:
        after = shelf.state.after(event)
    except CatalogError as error:
        raise CatalogError(f"{shelf.embedding} {error}") from error
    offered = [j for j in range(len(after.manifests)) if j not in after.retired]
    return [
        Outlook(j, serving_versions(shelf.state, j, at), serving_versions(after, j, at))
        for j in offered
    ]


def serving_versions(state: State, version: int, at: datetime) -> tuple[int, ...]:
    """The versions that may give view j its values at an instant, the first that has one first."""
    newer: Sequence[int] = range(len(state.manifests) - 1, version, -1)
    instant = np.array([to_micros(at)])
    active = [k for k in newer if active_at(state.activations.get(k, ()), instant).all()]
    return (*active, version)
