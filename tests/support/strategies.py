"""Random families of versions, and random schedules of what is done with them."""

from __future__ import annotations

from hypothesis import strategies as st

from feast_bc.views.serving import MATERIALIZED, ON_READ, Serving
from tests.support.families import Family, Row
from tests.support.schedules import ENTITIES, Step

HORIZON = 24


@st.composite
def families(draw: st.DrawFn, *, serving: Serving | None = None, push: bool = False) -> Family:
    """Random dims, native histories (backfills, gaps, nulls), cut-overs and servings.

    Args:
        serving: the one serving; any, if None.
        push: whether rows are pushed.
    """
    dims = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    floats = st.floats(-8, 8, width=16)
    places = st.tuples(
        st.integers(0, len(dims) - 1), st.sampled_from(ENTITIES), st.integers(0, HORIZON)
    )
    rows = []
    for version, entity, hour in sorted(draw(st.sets(places, max_size=14))):
        vector = st.tuples(*[floats] * dims[version])
        found = draw(st.none() | vector | vector | vector)
        since = draw(st.none() | st.integers(0, hour))
        rows.append(Row(version, entity, hour, found, since))
    given = [MATERIALIZED, ON_READ] if serving is None else [serving]
    served: Serving = draw(st.sampled_from(given))
    return Family(
        dims=dims,
        rows=rows,
        active={k: draw(activations()) for k in range(1, len(dims))},
        ttl_hours=draw(st.none() | st.integers(2, HORIZON)),
        serving=served,
        rollback_versions=draw(st.integers(0, 2)),
        push=push,
        # Neither values worked out on read nor pushed rows tell whose input is unchanged.
        keeps=served == MATERIALIZED and not push and draw(st.booleans()),
    )


@st.composite
def activations(draw: st.DrawFn) -> list[tuple[float, float | None]]:
    """No, one or two disjoint intervals; the last may be open."""
    edges = sorted(draw(st.sets(st.integers(0, HORIZON), max_size=4)))
    starts, ends = edges[::2], edges[1::2]
    return [(s, ends[i] if i < len(ends) else None) for i, s in enumerate(starts)]


@st.composite
def schedules(draw: st.DrawFn, family: Family) -> list[Step]:
    """An apply, then applies and materializations in any order, each an hour of its own.

    A later apply may know more versions, and more of the planned cut-overs: some of them then
    took effect before the registry learned of them.
    """
    hours = sorted(draw(st.sets(st.integers(1, HORIZON), min_size=2, max_size=6)))
    steps = []
    versions = draw(st.integers(1, len(family.dims)))
    decided = tuple(draw(st.integers(0, 2)) for _ in family.dims)
    for i, hour in enumerate(hours):
        if i == 0 or (i < len(hours) - 1 and draw(st.booleans())):
            versions = draw(st.integers(versions, len(family.dims)))
            decided = tuple(draw(st.integers(d, 2)) for d in decided)
            steps.append(Step(hour, "apply", versions, decided))
        else:
            steps.append(Step(hour, draw(st.sampled_from(["full", "incremental"]))))
    return steps
