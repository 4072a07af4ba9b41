"""When an embedding version serves the views of older versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from feast_bc.columns.arrays import Instants, Mask
from feast_bc.columns.instants import to_micros
from feast_bc.errors import CatalogError


@dataclass(frozen=True)
class Activation:
    """A half-open interval [active_from, active_until) of event time.

    Attributes:
        active_from: from this instant on, the version serves older views.
        active_until: the instant of the rollback; None while it is active.
    """

    active_from: datetime
    active_until: datetime | None = None

    def __post_init__(self) -> None:
        check_aware(self.active_from)
        if self.active_until is None:
            return
        check_aware(self.active_until)
        if self.active_until < self.active_from:
            raise CatalogError(
                f"active_until {self.active_until.isoformat()} lies before active_from "
                f"{self.active_from.isoformat()}."
            )


def check_aware(instant: datetime) -> None:
    """Raise CatalogError for a datetime without a time zone."""
    if instant.tzinfo is None:
        raise CatalogError(
            f"{instant.isoformat()} has no time zone; expected an aware datetime, such as "
            "2026-01-31T12:00:00+00:00."
        )


def active_at(activations: Sequence[Activation], instants: Instants) -> Mask:
    """A bool mask of `instants.shape`: true where one of the intervals holds the instant."""
    mask = np.zeros(instants.shape, bool)
    for activation in activations:
        inside = instants >= to_micros(activation.active_from)
        if activation.active_until is not None:
            inside &= instants < to_micros(activation.active_until)
        mask |= inside
    return mask


def boundaries(activations: Sequence[Activation]) -> list[int]:
    """Every start and end of an interval, in microseconds."""
    return [
        to_micros(edge)
        for activation in activations
        for edge in (activation.active_from, activation.active_until)
        if edge is not None
    ]
