"""Prometheus metrics of version views, where Feast's feature server collects its own.

Feast opens an endpoint with `feast serve --metrics` or `metrics: {enabled: true}` and adds up what
all its workers measure; these metrics stand beside Feast's on it. Anywhere else nothing is
measured, and `prometheus_client` is not imported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Literal

from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import MICROS
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.tags import errors_of

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

STORED = "stored"
"""The `from_version` of rows that stand materialized: the value does not tell it."""

_GAUGES_EVERY = 1.0
"""In seconds. Gauges of a view are set at most so often."""

_BUCKETS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0)


class Metrics:
    """What is measured of version views in one process; Prometheus adds up the processes."""

    def __init__(self) -> None:
        # Feast has set up the folder that its processes share, or the client would keep to itself.
        from prometheus_client import Counter, Gauge, Histogram

        newest: Literal["livemostrecent"] = "livemostrecent"
        self._rows: Counter = Counter(
            "feast_bc_rows_total",
            "Rows of a version view with a value, by the version whose vector gave it",
            ["view", "from_version"],
        )
        self._null_rows: Counter = Counter(
            "feast_bc_null_rows_total", "Rows of a version view without a value", ["view"]
        )
        self._transform: Histogram = Histogram(
            "feast_bc_transform_seconds",
            "Time that a read took to transform vectors to a view served on read",
            ["view"],
            buckets=_BUCKETS,
        )
        self._serving: Gauge = Gauge(
            "feast_bc_serving_version",
            "The newest version that the applied plan lets serve a view now",
            ["view"],
            multiprocess_mode=newest,
        )
        self._error: Gauge = Gauge(
            "feast_bc_relative_error",
            "Centred error of a chain as the catalog had it when the view was applied",
            ["embedding", "from", "to"],
            multiprocess_mode=newest,
        )
        self._freshness: Gauge = Gauge(
            "feast_bc_freshness_seconds",
            "Age of the newest row among those that a view answered last",
            ["view"],
            multiprocess_mode=newest,
        )
        # A look-up of labels takes longer than the counting.
        self._rows_of = cache(self._rows.labels)
        self._nulls_of = cache(self._null_rows.labels)
        self._transform_of = cache(self._transform.labels)
        self._due: dict[str, float] = {}

    def read(
        self,
        source: BackwardCompatibleSource,
        given: Mapping[int, int] | Mapping[str, int],
        nulls: int,
    ) -> None:
        """Count what a read of a view gave.

        Args:
            source: the view's source.
            given: per version, or `STORED`, how many rows got their value from it.
            nulls: how many rows have none.
        """
        for version, count in given.items():
            self._rows_of(source.name, version).inc(count)
        if nulls:
            self._nulls_of(source.name).inc(nulls)

    def due(self, view: str) -> bool:
        """Whether the gauges of a view are to be set; says so once in a while."""
        now = time.monotonic()
        if now < self._due.get(view, 0.0):
            return False
        self._due[view] = now + _GAUGES_EVERY
        return True

    def gauges(self, source: BackwardCompatibleSource, newest: int, now: int) -> None:
        """Set the gauges of a view.

        Args:
            source: the view's source.
            newest: the newest event timestamp that was read, in microseconds; NEVER for none.
            now: the instant of the read, in microseconds.
        """
        self._serving.labels(source.name).set(source.plan.counting(now)[0])
        for version, error in errors_of(source.tags).items():
            self._error.labels(source.embedding, version, source.version).set(error)
        if newest != NEVER:
            self._freshness.labels(source.name).set((now - newest) / MICROS)

    def transforming(self, view: str) -> AbstractContextManager[object]:
        """Times a transformation."""
        timer: AbstractContextManager[object] = self._transform_of(view).time()
        return timer


_MAKING = threading.Lock()


def metrics() -> Metrics:
    """The metrics of this process; they are registered when it measures first."""
    with _MAKING:
        return _made()


@cache
def _made() -> Metrics:
    return Metrics()
