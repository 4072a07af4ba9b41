"""A backward transformation from two matrices, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Mask
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc.choice import choose
from feast_bc.posthoc.moments import Moments, Vectors
from feast_bc.posthoc.ridge import ridge
from feast_bc.publishing.centred_error import centred_error, error_of_mean
from feast_bc.publishing.probe_suite import ProbeReport, probe_suite
from feast_bc.transforms import AffineTransform, BackwardTransform
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout

_HOLDOUT = Holdout()


@dataclass(frozen=True)
class FitReport:
    """How a fit came about, and how near it comes on entities that it has not seen.

    Attributes:
        fitted, held_out: how many entities it was fitted on, and measured on.
        penalty: that of the fit.
        centred_error: `centred_error` on held-out entities; None where their z_old are all equal.
        error_of_mean: `error_of_mean` of their z_old.
        probes: what small consumers keep of their skill on held-out entities.
        largest_singular_value, smallest_singular_value: of W.
    """

    fitted: int
    held_out: int
    penalty: float
    centred_error: float | None
    error_of_mean: float | None
    probes: ProbeReport
    largest_singular_value: float
    smallest_singular_value: float

    @property
    def r_squared(self) -> float | None:
        """The share of the held-out variance that the map explains: 1 - centred_error^2."""
        return None if self.centred_error is None else 1 - self.centred_error**2

    def __str__(self) -> str:
        error = "unknown" if self.centred_error is None else f"{self.centred_error:.3f}"
        kept = ", ".join(f"{kind} {share:.2f}" for kind, share in self.probes.by_kind.items())
        return (
            f"Fitted on {self.fitted} entities with penalty {self.penalty:g}. On {self.held_out} "
            f"held-out entities the centred error is {error}; probe consumers keep "
            f"{kept or 'an unknown share'} of their skill. Singular values from "
            f"{self.smallest_singular_value:.3g} to {self.largest_singular_value:.3g}."
        )


@dataclass(frozen=True)
class Fitted:
    """What `fit` found.

    Attributes:
        transform: B_k.
        report: how near it comes.
        holdout: the entities that the fit has not seen; None where it was not told their ids.
    """

    transform: AffineTransform
    report: FitReport
    holdout: Holdout | None

    def save(self, folder: str | Path) -> Path:
        """Write the artifact that `feast-bc publish --transform` takes.

        Raises:
            ArtifactError: `folder` exists already.
        """
        metrics = {**asdict(self.report), "probes": asdict(self.report.probes)}
        return save_artifact(self.transform, folder, holdout=self.holdout, metrics=metrics)


def fit(
    z_new: Vectors,
    z_old: Vectors,
    present: Mask | None = None,
    *,
    from_version: int,
    ids: Sequence[Any] | npt.NDArray[Any] | None = None,
    holdout: Holdout = _HOLDOUT,
    older: Sequence[BackwardTransform] = (),
    bias: bool = True,
    penalties: Sequence[float] = (0.0,),
) -> Fitted:
    """B_k by least squares: sums up the pairs, leaves entities out, reports on these.

    Of several penalties the one with the smallest error on a tenth of the entities is chosen; with
    it all entities that are not held out are fitted once more. The smallest error is not best for
    consumers: where there are many times more entities than D_k, chains of penalised hops lost
    more of their skill than plain least squares (docs/maps.md).

    Args:
        z_new: z_k, shape `(n, D_k)`, any float dtype.
        z_old: z_{k-1} of the same entities, shape `(n, D_{k-1})`.
        present: bool, shape `(n,)`; false for entities without a previous vector, whose rows of
            `z_old` count for nothing, NaN included. None: all have one.
        from_version: k.
        ids: the entities' ids, as they are published: `feast-bc publish` then measures the
            alignment on the entities that the fit has not seen. None: entities are left out by
            their row, and the artifact declares no holdout.
        holdout: which entities are left out.
        older: B_{k-1}, ..., B_1, the newest first, as `older_maps` finds them, for the multi-step
            loss; affine.
        bias: False for a map through the origin.
        penalties: to choose among, e.g. `PENALTIES` where entities are few; one is taken as it is.

    Raises:
        DimensionError: shapes that do not fit one another, or the older maps.
        InvalidVectorsError: NaN or infinity in a row that counts; no entity to fit on, to choose
            by or to report on.
        ValueError: no penalty.
        TypeError: an older map is not affine.
    """
    z_new, z_old = np.asarray(z_new), np.asarray(z_old)
    count = len(z_new)
    known = np.ones(count, bool) if present is None else np.asarray(present)
    if ids is not None and len(ids) != count:
        raise DimensionError(f"fit: expected one id for each of the {count} rows; got {len(ids)}.")
    if z_new.ndim != 2 or z_old.ndim != 2:
        raise DimensionError(
            f"fit: expected matrices, one vector a row; got shapes {z_new.shape} and {z_old.shape}."
        )
    if not penalties:
        raise ValueError("fit: expected at least one penalty to choose among; got none.")
    names = range(count) if ids is None else [_plain(each) for each in ids]
    unseen = holdout.contains(names)
    judged, fitted_on = known & unseen, known & ~unseen
    aside = fitted_on & Holdout(0.1, f"{holdout.salt}, choice").contains(names)
    purposes = {"to fit on": fitted_on, "to report on": judged}
    if len(penalties) > 1:
        purposes |= {"to choose by": aside, "to fit on beside those": fitted_on & ~aside}
    for purpose, mask in purposes.items():
        if not mask.any():
            raise _too_few(purpose, int(known.sum()))

    def solved(moments: Moments, penalty: float) -> AffineTransform:
        return ridge(
            moments,
            from_version=from_version,
            to_version=from_version - 1,
            penalty=penalty,
            bias=bias,
            older=older,
        )

    penalty = penalties[0]
    if len(penalties) > 1:
        some = _moments(z_new, z_old, fitted_on & ~aside)
        candidates = [solved(some, each) for each in penalties]
        best = choose(candidates, _moments(z_new, z_old, aside), older)
        penalty = penalties[candidates.index(best)]
    everyone = _moments(z_new, z_old, fitted_on)
    transform = solved(everyone, penalty)
    served, native = transform.apply(z_new[known]), z_old[known].astype(np.float32)
    of_known = judged[known]
    values = np.linalg.svd(transform.weight, compute_uv=False)
    report = FitReport(
        fitted=everyone.count,
        held_out=int(judged.sum()),
        penalty=penalty,
        centred_error=centred_error(served[of_known], native[of_known]),
        error_of_mean=error_of_mean(native[of_known]),
        probes=probe_suite(native, served, judged=of_known),
        largest_singular_value=float(values[0]),
        smallest_singular_value=float(values[-1]),
    )
    return Fitted(transform, report, None if ids is None else holdout)


def _moments(vectors: Vectors, previous: Vectors, mask: Mask) -> Moments:
    found = Moments(vectors.shape[1], previous.shape[1])
    found.add(vectors, previous, mask)
    return found


def _plain(key: object) -> object:
    """An id without numpy's types, whose text may differ from the catalog's."""
    return key.item() if isinstance(key, np.generic) else key


def _too_few(purpose: str, known: int) -> InvalidVectorsError:
    return InvalidVectorsError(
        f"fit: none of {known} entities with a previous vector is left {purpose}; expected some. "
        "Give more entities, or another Holdout."
    )
