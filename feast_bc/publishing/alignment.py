"""The alignment of a version with the older ones, as the catalog keeps it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from feast_bc.catalog.published_version import PublishedVersion
from feast_bc.errors import ArtifactError
from feast_bc.publishing.probe_suite import ProbeReport
from feast_bc.stored_format import first_problem

NOTHING_SHARED = "unknown: the two versions share no entity."
"""The note of an alignment between versions that cannot be compared."""

MANY_NEAR_ZERO, MANY_MEAN_DOMINATED = 0.2, 0.5
"""Shares of vectors from which a report warns."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def vector_warnings(
    of: str, near_zero: float | None, mean_dominated: float | None
) -> tuple[str, ...]:
    """What about native vectors makes some figures say little.

    Args:
        of: whose, e.g. "the vectors of version 0".
        near_zero, mean_dominated: the shares, as in `feast_bc.publishing.geometry`.
    """
    found = []
    if near_zero is not None and near_zero >= MANY_NEAR_ZERO:
        found.append(
            f"{near_zero:.0%} of {of} are near zero: the smallest bias moves them across the "
            "thresholds of tree models. Fit the transformation without a bias (bias=False)."
        )
    if mean_dominated is not None and mean_dominated >= MANY_MEAN_DOMINATED:
        found.append(
            f"{mean_dominated:.0%} of {of} are little more than their mean: cosines near 1 say "
            "nothing. Look at the centred error and at the probes."
        )
    return tuple(found)


@dataclass(frozen=True, config=_STRICT)
class Alignment:
    """How near transformed vectors z~ come to native ones z.

    Attributes:
        entities: how many entities were compared.
        centred_error: ||z~ - z||_F / ||z - mean(z)||_F, 1 for the mean vector alone; None if
            there was nothing to compare, or all z are equal.
        error_of_mean: ||z - mean(z)||_F / ||z||_F: the uncentred error of the mean vector alone.
            Where it is small, uncentred errors and cosines say little. None likewise, or if all
            z are 0.
        cosine: the mean cosine of z~ and z over the z that are not 0, which have no direction;
            z~ = 0 counts as 0. None if there was nothing to compare.
        neighbour_overlap: the share of its 10 nearest neighbours that an entity keeps.
        dot_product_correlation: the rank correlation of products of two vectors. Both are as in
            `feast_bc.publishing.geometry`, and None in reports of older releases.
    """

    entities: int
    centred_error: float | None = None
    error_of_mean: float | None = None
    cosine: float | None = None
    neighbour_overlap: float | None = None
    dot_product_correlation: float | None = None

    @property
    def r_squared(self) -> float | None:
        """R^2 = 1 - centred_error^2, the share of the variance that the map explains."""
        return None if self.centred_error is None else 1 - self.centred_error**2


@dataclass(frozen=True, config=_STRICT)
class VersionAlignment:
    """The alignment of the chain k -> version.

    Attributes:
        version: the older version j.
        common: how many entities both versions have.
        on_all: on all common entities (at most 100,000 of them).
        on_held_out: on those among them which the fit did not see; None if the artifact does
            not declare a holdout.
        note: why it is not known, if it is not.
        previous_error: the centred error of the chain k-1 -> version, measured on the same
            footing: what the view's readers had before. None for version k-1 itself.
        singular_values: the largest and the smallest of the chain; None where it is not affine.
        near_zero, mean_dominated: shares of the version's native vectors, as in
            `feast_bc.publishing.geometry`.
        probes: what small consumer models keep of their skill. Like the four before it None in
            reports of older releases.
    """

    version: int
    common: int
    on_all: Alignment
    on_held_out: Alignment | None = None
    note: str | None = None
    previous_error: float | None = None
    singular_values: tuple[float, float] | None = None
    near_zero: float | None = None
    mean_dominated: float | None = None
    probes: ProbeReport | None = None

    @property
    def decisive(self) -> tuple[str, Alignment]:
        """What a gate looks at: held-out entities where there are any, else all."""
        if self.on_held_out is not None and self.on_held_out.entities:
            return "held_out", self.on_held_out
        return "all", self.on_all

    @property
    def warnings(self) -> tuple[str, ...]:
        """What about the version's native vectors makes some figures say little."""
        of = f"the vectors of version {self.version}"
        return vector_warnings(of, self.near_zero, self.mean_dominated)


@dataclass(frozen=True, config=_STRICT)
class AlignmentReport:
    """The alignment of version k with every older version.

    Attributes:
        version: k.
        entities: how many entities version k has.
        older: one entry per older version, k-1 first: that one is the hop B_k itself, the
            others are whole chains k -> j.
        first: the event timestamp of version k's oldest vector; None where it could not be read,
            and in reports of older releases.
    """

    version: int
    entities: int
    older: tuple[VersionAlignment, ...]
    first: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it stands in the manifest under metrics["alignment"]."""
        plain: dict[str, Any] = _REPORT.dump_python(self, mode="json")
        return plain

    @classmethod
    def from_json(cls, report: object, *, of: str) -> AlignmentReport:
        """Read `to_json` back.

        Args:
            report: the JSON value.
            of: where it stands, for error messages.

        Raises:
            ArtifactError: it is no report.
        """
        try:
            return _REPORT.validate_json(json.dumps(report))
        except ValidationError as error:
            raise ArtifactError(
                f"{of}: expected an alignment report, found another value "
                f"({first_problem(error)}). Publish the version again."
            ) from error


_REPORT = TypeAdapter(AlignmentReport)


def stored_report(published: PublishedVersion) -> AlignmentReport | None:
    """The alignment that was measured last, at publish or relink; None where it was not.

    Raises:
        ArtifactError: what the catalog has in its place is no report.
    """
    of = f"the alignment of {published.manifest.embedding} version {published.version}"
    stored = published.alignment
    return None if stored is None else AlignmentReport.from_json(stored, of=of)


def stored_errors(versions: Sequence[PublishedVersion]) -> dict[int, dict[int, float]]:
    """Per version k, and per older version j, the centred error that was measured last.

    A version whose measurement cannot be read has none: this is for those who only tell of it.
    """
    errors = {}
    for published in versions:
        with suppress(ArtifactError):
            report = stored_report(published)
            found = {e.version: e.decisive[1].centred_error for e in report.older} if report else {}
            errors[published.version] = {j: x for j, x in found.items() if x is not None}
    return {k: found for k, found in errors.items() if found}
