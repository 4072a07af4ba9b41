"""Choosing a fit (its penalty, its rank, its kind) on entities that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from feast_bc.errors import InvalidVectorsError
from feast_bc.posthoc.metric import multi_step_metric
from feast_bc.posthoc.moments import Moments
from feast_bc.transforms import BackwardTransform

T = TypeVar("T", bound=BackwardTransform)


def choose(
    candidates: Iterable[T], held_out: Moments, older: Sequence[BackwardTransform] = ()
) -> T:
    """The candidate with the smallest loss on held-out entities; the first one of equals.

    Args:
        candidates: affine maps of one direction, e.g. one `ridge` per penalty.
        held_out: the moments of entities which no candidate was fitted on.
        older: as for `ridge`, for the multi-step loss.

    The loss is not centred: on the same vectors that would rank the candidates alike.

    Raises:
        ValueError: no candidates.
        InvalidVectorsError: no entity is held out.
        TypeError, DimensionError: a candidate or an older map is not affine, or does not fit.
    """
    if not held_out.count:
        raise InvalidVectorsError(
            "No held-out entity to choose by; expected at least one. Raise Holdout.fraction."
        )
    metric = multi_step_metric(older, held_out.to_dim)
    return min(candidates, key=lambda candidate: held_out.squared_error(candidate, metric))
