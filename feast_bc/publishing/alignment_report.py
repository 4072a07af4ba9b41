"""How well a version's chain reproduces the native vectors of every older version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.columns.instants import to_datetime
from feast_bc.errors import FeastBCError
from feast_bc.native.native_vectors import NativeVectors, Progress
from feast_bc.publishing.alignment import (
    NOTHING_SHARED,
    Alignment,
    AlignmentReport,
    VersionAlignment,
)
from feast_bc.publishing.centred_error import centred_error, error_of_mean
from feast_bc.publishing.common_entities import SAMPLE_CAP, common_entities
from feast_bc.publishing.geometry import (
    dot_product_correlation,
    mean_dominated,
    near_zero,
    neighbour_overlap,
    singular_values,
)
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.holdout import Holdout

_EMPTY = np.empty(0, np.int64)


def alignment_report(
    newest: NativeVectors,
    chains: Sequence[BackwardTransform],
    older: Mapping[int, NativeVectors | FeastBCError],
    *,
    holdout: Holdout | None = None,
    previous: Sequence[BackwardTransform] = (),
    cap: int = SAMPLE_CAP,
    progress: Progress | None = None,
) -> AlignmentReport:
    """Compare what version k's chain yields with the native vectors of the older versions.

    The newest row of each entity is compared; entities are joined by the text of their keys.

    Args:
        newest: the native vectors of version k.
        chains: one chain k -> j per older version; the one to k-1 is the hop B_k.
        older: per older version its native vectors, or the error that reading them gave: the
            report then says so, because old vectors may have been deleted.
        holdout: which entities the fit of B_k did not see, if the artifact declares it.
        previous: the chains k-1 -> j that these replace, to be measured beside them.
        cap: compare at most so many entities per version.
        progress: called as sources are read.

    Raises:
        DimensionError: a chain does not fit the vectors.
    """
    version = chains[0].from_version if chains else 0
    before = _previous_errors(version, previous, older, holdout, cap, progress)
    pairs = {}
    for chain in chains:
        native = older[chain.to_version]
        if isinstance(native, NativeVectors):
            pairs[chain.to_version] = common_entities(newest, native, cap)
    rows = np.unique(np.concatenate([_EMPTY, *(pair.newer_rows for pair in pairs.values())]))
    vectors = newest.take(rows, progress)
    entries = []
    for chain in sorted(chains, key=lambda c: -c.to_version):
        native = older[chain.to_version]
        if not isinstance(native, NativeVectors):
            entries.append(
                VersionAlignment(chain.to_version, 0, Alignment(0), note=f"unknown: {native}")
            )
            continue
        pair = pairs[chain.to_version]
        mapped = chain.apply(vectors[np.searchsorted(rows, pair.newer_rows)])
        target = pair.older_vectors(native, progress)
        unseen = None if holdout is None else holdout.contains(pair.keys())
        found = _compare(chain, pair.common, mapped, target, unseen)
        entries.append(replace(found, previous_error=before.get(chain.to_version)))
    return AlignmentReport(version, newest.entities, tuple(entries), to_datetime(newest.first))


def _previous_errors(
    version: int,
    previous: Sequence[BackwardTransform],
    older: Mapping[int, NativeVectors | FeastBCError],
    holdout: Holdout | None,
    cap: int,
    progress: Progress | None,
) -> dict[int, float | None]:
    """By version j: the centred error of k-1 -> j today, where both versions can be read."""
    newest = older.get(version - 1)
    if not isinstance(newest, NativeVectors):
        return {}
    found: dict[int, float | None] = {}
    for chain in previous:
        native = older[chain.to_version]
        if not isinstance(native, NativeVectors):
            continue
        pair = common_entities(newest, native, cap)
        mapped = chain.apply(newest.take(pair.newer_rows, progress))
        target = pair.older_vectors(native, progress)
        if holdout is not None:
            unseen = holdout.contains(pair.keys())
            if unseen.any():
                mapped, target = mapped[unseen], target[unseen]
        found[chain.to_version] = centred_error(mapped, target)
    return found


def _compare(
    chain: BackwardTransform, common: int, mapped: Matrix, target: Matrix, held_out: Mask | None
) -> VersionAlignment:
    judged = held_out if held_out is not None and held_out.any() else None
    found = VersionAlignment(
        version=chain.to_version,
        common=common,
        on_all=_align(mapped, target),
        on_held_out=None if held_out is None else _align(mapped[held_out], target[held_out]),
        singular_values=singular_values(chain),
        near_zero=near_zero(target),
        mean_dominated=mean_dominated(target),
        probes=probe_suite(target, mapped, judged=judged),
    )
    return replace(found, note=_note(found))


def _note(found: VersionAlignment) -> str | None:
    on, alignment = found.decisive
    if not found.common:
        return NOTHING_SHARED
    if alignment.centred_error is None:
        return (
            f"unknown: version {found.version} has but one vector for all that were compared "
            f"({on.replace('_', '-')} entities: {alignment.entities}), so any constant would do."
        )
    if found.on_held_out is None:
        return "held-out alignment unknown: the artifact declares no holdout."
    return None


def _align(mapped: Matrix, target: Matrix) -> Alignment:
    if not len(target):
        return Alignment(0)
    lengths = np.sqrt(_dots(mapped, mapped) * _dots(target, target))
    dots = _dots(mapped, target)
    cosines = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    directed = _dots(target, target) > 0
    return Alignment(
        len(target),
        centred_error(mapped, target),
        error_of_mean(target),
        float(cosines[directed].mean()) if directed.any() else None,
        neighbour_overlap(target, mapped),
        dot_product_correlation(target, mapped),
    )


def _dots(a: Matrix, b: Matrix) -> npt.NDArray[np.float64]:
    """Row by row <a_i, b_i>, summed in float64."""
    dots: npt.NDArray[np.float64] = np.einsum("ij,ij->i", a, b, dtype=np.float64)
    return dots
