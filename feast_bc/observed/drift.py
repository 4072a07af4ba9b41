"""How far what is served lies from native vectors, where an entity has both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from feast import FeatureStore, FeatureView

from feast_bc import clock
from feast_bc.catalog.outlook import serving_versions
from feast_bc.catalog.shelf import Shelf
from feast_bc.columns.instants import to_datetime
from feast_bc.errors import DriftError, FeastBCError
from feast_bc.native.native_vectors import ROW, NativeVectors
from feast_bc.observed.sample import natives, sample_of, served
from feast_bc.publishing.alignment import stored_errors
from feast_bc.publishing.centred_error import centred_error
from feast_bc.publishing.measurement import Stages, chains_over, links_below, read_natives, silent
from feast_bc.views.source import view_name
from feast_bc.views.tags import errors_of

SAMPLE = 2_000
"""So many entities are compared per view where nothing else is said."""

SMALLEST = 20
"""From fewer entities no error is told: it would be chance."""


NOISE = 0.01
"""An error below this has not grown, whatever it was: of exact maps it is rounding."""


@dataclass(frozen=True)
class Drift:
    """How far the values that a view gets from one version lie from the view's native vectors.

    Attributes:
        view: the view's name.
        from_version: k, the version that gives the values.
        entities: how many were compared.
        error: the centred error ||z~ - z|| / ||z - mean(z)||; None where fewer than `SMALLEST`
            were, or all z are equal.
        published: the centred error that the catalog has; None where it has none.
    """

    view: str
    from_version: int
    entities: int
    error: float | None
    published: float | None

    def exceeds(self, limit: float, growth: float | None) -> bool:
        """Whether the error is above a limit, or above so many times the published one."""
        if self.error is None:
            return False
        allowed = limit
        if growth is not None and self.published is not None:
            allowed = min(limit, max(growth * self.published, NOISE))
        return self.error > allowed


def online_drift(
    store: FeatureStore, views: Iterable[FeatureView], sample: int = SAMPLE
) -> list[Drift]:
    """Compare what stands online, of a sample of the entities of each view's own version.

    Values that are the view's own native vectors are left out. Views that no newer version serves
    have none.

    Raises:
        FeastBCError: a source or the online store cannot be read.
    """
    found = []
    for view in views:
        source = view.batch_source
        if len(source.plan.counting(clock.now())) == 1:
            continue
        native = natives(store, view, source.members[0])
        chosen = sample_of(native.entities, sample)
        picked = native.latest.take(chosen)
        values = served(store, view, picked.select(list(native.keys)))
        vectors = native.take(np.asarray(picked[ROW], np.int64))
        known = errors_of(view.tags)
        for version in np.unique(values.giver[values.giver > source.version]).tolist():
            mine = values.giver == version
            error = centred_error(values.vectors[mine], vectors[mine])
            count = int(mine.sum())
            found.append(
                Drift(
                    view.name,
                    version,
                    count,
                    error if count >= SMALLEST else None,
                    known.get(version),
                )
            )
    return found


def chain_drift(shelf: Shelf, sample: int = SAMPLE, stages: Stages = silent) -> list[Drift]:
    """The same without an online store: the chains over what the sources have today.

    The newest version that serves a view now is transformed to it.

    Raises:
        FeastBCError: a source or a transformation cannot be read.
    """
    now, offered = to_datetime(clock.now()), shelf.state
    givers = {
        j: serving_versions(offered, j, now)[0]
        for j in range(len(shelf.versions))
        if j not in offered.retired
    }
    pairs = [(k, j) for j, k in givers.items() if k != j]
    needed = sorted({version for pair in pairs for version in pair})
    read = read_natives([shelf.versions[version] for version in needed], None, stages)
    known = stored_errors(shelf.versions)
    found = []
    for k, j in pairs:
        newer, older = read[k], read[j]
        if isinstance(newer, FeastBCError):
            raise newer
        if isinstance(older, FeastBCError):
            raise older
        entities, error = _compare(shelf, k, j, newer, older, sample)
        published = known.get(k, {}).get(j)
        found.append(Drift(view_name(shelf.embedding, j), k, entities, error, published))
    return found


def _compare(
    shelf: Shelf, k: int, j: int, newer: NativeVectors, older: NativeVectors, sample: int
) -> tuple[int, float | None]:
    keys = list(newer.keys)
    mine = newer.latest.select([*keys, ROW])
    theirs = older.latest.select([*keys, ROW]).rename_columns([*keys, "older"])
    both = mine.join(theirs, keys, join_type="inner").sort_by(ROW)
    both = both.take(sample_of(both.num_rows, sample))
    if both.num_rows < SMALLEST:
        return both.num_rows, None
    link = shelf.versions[k].transform
    assert link is not None  # noqa: S101 - k > j >= 0
    transform = link.load()
    links = links_below(shelf.embedding, transform, shelf.versions)
    chain = next(c for c in chains_over(transform, links) if c.to_version == j)
    rows = np.asarray(both["older"], np.int64)
    order = np.argsort(rows)
    mapped = chain.apply(newer.take(np.asarray(both[ROW], np.int64)))
    return both.num_rows, centred_error(mapped[order], older.take(rows[order]))


def check_drift(found: Sequence[Drift], limit: float, growth: float | None = None) -> None:
    """Refuse errors past a limit.

    Raises:
        DriftError: an error is past it; the message names the views.
        FeastBCError: no error is known, so that nothing was watched.
    """
    if all(drift.error is None for drift in found):
        looked = ", ".join(f"{d.view} from version {d.from_version}" for d in found) or "no view"
        raise FeastBCError(
            f"nothing could be compared: expected {SMALLEST} entities or more that have both a "
            f"value from a newer version and a native vector; found {looked} with fewer. Activate "
            "a version, materialize, or keep the vectors of the older version."
        )
    past = [drift for drift in found if drift.exceeds(limit, growth)]
    if past:
        told = "; ".join(
            f"{d.view} from version {d.from_version}: {d.error:.4f}"
            + ("" if d.published is None else f", published {d.published:.4f}")
            for d in past
        )
        raise DriftError(
            f"the centred error is past its limit: {told}. Look at what changed in the sources; "
            "`feast-bc rollback` lets the older version serve again, `feast-bc relink` takes a "
            "better transformation."
        )
