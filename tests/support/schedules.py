"""What the teams do over time - apply, materialize - replayed on a real store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from feast import FeatureStore

from tests.support.clock import shown
from tests.support.families import USER, Family, at, offline, online, same

ENTITIES = [1, 2, 3]
ASKED = [3, 1, 99, 2]  # 99 is unknown


@dataclass(frozen=True)
class Step:
    """Something the teams do at an hour: `apply` a plan, or materialize up to that hour."""

    hour: int
    action: str
    versions: int = 0
    decided: tuple[int, ...] = ()


def planned(family: Family, step: Step) -> Family:
    """The family as far as it is published and decided at an apply."""
    return replace(
        family,
        dims=family.dims[: step.versions],
        transforms=family.transforms[: step.versions - 1],
        rows=[row for row in family.rows if row.version < step.versions],
        active={k: family.active.get(k, ())[: step.decided[k]] for k in range(1, step.versions)},
    )


def apply(store: FeatureStore, family: Family, folder: Path) -> None:
    """`feast apply`."""
    store.apply([USER, *family.write(folder).feature_views().values()])


def materialize(store: FeatureStore, step: Step) -> None:
    """Materialize all views; those without a watermark in full.

    Feast would begin their incremental window relative to the real clock, not the schedule's.
    """
    views = store.list_feature_views()
    fresh = [v.name for v in views if step.action == "full" or v.most_recent_end_time is None]
    others = [v.name for v in views if v.name not in fresh]
    if fresh:
        store.materialize(at(-1), at(step.hour), feature_views=fresh)
    if others:
        store.materialize_incremental(at(step.hour), feature_views=others)


def run(store: FeatureStore, family: Family, folder: Path, steps: Sequence[Step]) -> None:
    """Run a schedule; after each materialization online, offline and the oracle must agree."""
    known = family
    for step in steps:
        if step.action == "apply":
            known = planned(family, step)
            apply(store, known, folder)
            continue
        materialize(store, step)
        for version in range(len(known.dims)):
            view = f"user_embedding_v{version}"
            expected = [known.value(version, entity, step.hour) for entity in ASKED]
            same(offline(store, view, ASKED, [step.hour] * len(ASKED)), expected)
            same(online_at(store, view, step.hour), expected)
            if known.serving == "on_read":
                later_reads(store, known, version, step.hour)


def online_at(store: FeatureStore, view: str, hour: float) -> list[np.ndarray | None]:
    """What the online store answers to a read at an hour."""
    with shown(hour):
        return online(store, view, ASKED)


def later_reads(store: FeatureStore, known: Family, version: int, written: float) -> None:
    """A view that is served on read follows cut-overs and expiry without being materialized."""
    past = replace(known, rows=[row for row in known.rows if row.hour <= written])
    for hour in (written + 0.5, written + 3, written + 30):
        expected = [past.value(version, entity, hour) for entity in ASKED]
        same(online_at(store, f"user_embedding_v{version}", hour), expected)
