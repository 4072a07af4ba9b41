"""What the teams do, one step at a time. Every step tells all that it needs, so that a history can
be replayed, shortened and printed. Instants are whole seconds after the checker's epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tests.checker.oracle import Row, told

WHOLE = -10_000 * 3600
"""A start before all rows."""


@dataclass(frozen=True)
class Step:
    """Something done when the clock shows `now`.

    Attributes:
        now: the instant.
        family: the family's position; -1 where the step concerns all of them.
    """

    now: int
    family: int

    def __str__(self) -> str:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "now"}
        for name in ("start", "end"):
            if values.get(name) is not None:
                values[name] = told(values[name])
        rest = ", ".join(f"{name}={value}" for name, value in values.items())
        return f"{told(self.now):>7} {type(self).__name__}({rest})"


@dataclass(frozen=True)
class Publish(Step):
    """`feast-bc publish` of the next version, with its first native rows."""

    version: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Activate(Step):
    """`feast-bc activate`; without `force` the quality gate may refuse."""

    version: int
    start: int
    force: bool = True


@dataclass(frozen=True)
class RollBack(Step):
    """`feast-bc rollback`; `version` None for the newest active one."""

    version: int | None
    end: int


@dataclass(frozen=True)
class Retire(Step):
    """`feast-bc retire`."""

    version: int


@dataclass(frozen=True)
class Arrive(Step):
    """Native rows arrive in the batch sources of published versions."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Apply(Step):
    """`FeatureStore.apply`.

    Attributes:
        views: the versions whose views are applied; None for all that are offered, in which case
            the views of retired versions are deleted, as `feast apply` does.
        ttl: the family's TTL in seconds, from now on.
        serving: its serving; it changes only where all views are applied.
        rollbacks: how many its views are to bear where they are served on read.
        keeps: whether unchanged vectors are kept.
    """

    views: tuple[int, ...] | None
    ttl: int | None
    serving: str
    rollbacks: int = 1
    keeps: bool = False


@dataclass(frozen=True)
class Delete(Step):
    """A view is deleted from the repo; a later apply may bring it back."""

    version: int


@dataclass(frozen=True)
class Materialize(Step):
    """`FeatureStore.materialize`, or `materialize_incremental` where `start` is None.

    Attributes:
        start, end: the window.
        views: (family, version) pairs; None for all views.
    """

    start: int | None
    end: int
    views: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True)
class Push(Step):
    """Vectors are pushed to the view of a version.

    Attributes:
        rows: what is pushed.
        to: "online", "offline", "both", or "write" for `write_to_online_store`.
    """

    version: int
    rows: tuple[Row, ...]
    to: str


@dataclass(frozen=True)
class Prepare(Step):
    """`prepare_serving` of the serving that is not in use."""

    end: int


@dataclass(frozen=True)
class Drop(Step):
    """`drop_serving`; refused where it is in use."""

    serving: str


@dataclass(frozen=True)
class Reopen(Step):
    """Another process goes on: a new `FeatureStore` over the same repo."""
