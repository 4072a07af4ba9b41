"""What a feature server measures of version views, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector


def measuring(folder: Path) -> dict[str, str]:
    """The variables by which the processes of a server leave what they measure in a folder.

    Without them Feast makes a folder of its own, for the one port that it knows.
    """
    folder.mkdir()
    names = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")
    return dict.fromkeys(names, str(folder))


def measured(folder: Path) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of our metrics that all processes of a server left, by their labels."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name.startswith("feast_bc"):
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
    return found
