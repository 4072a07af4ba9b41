"""Whether what is to be applied goes on from what the registry has.

A version is its content, not its number. A catalog that was lost and filled anew, or restored from
a backup, or definitions that were read a while ago, must not take the place of what is applied
without a word: stored vectors would be read as another version's.
"""

from __future__ import annotations

from collections.abc import Iterable

from feast_bc.accepted import is_accepted
from feast_bc.errors import LineageError
from feast_bc.transforms.artifact import digest
from feast_bc.views.source import BackwardCompatibleSource

ACCEPT = "FEAST_BC_ACCEPT_HISTORY"
"""The environment variable that lets a lineage pass: `<embedding>@<head>`, more with commas."""


def check_lineage(
    source: BackwardCompatibleSource, registered: Iterable[BackwardCompatibleSource]
) -> None:
    """Refuse a source that does not go on from those of its embedding in the registry.

    Args:
        source: what is to be applied.
        registered: the sources of all version views in the registry.

    Raises:
        LineageError: it is older, or from another catalog, and was not accepted by name.
    """
    accepted = f"{source.embedding}@{head(source)}"
    if is_accepted(ACCEPT, accepted):
        return
    for before in registered:
        problem = _problem(before, source) if before.embedding == source.embedding else None
        if problem:
            raise LineageError(
                f"{source.name} cannot be applied over {before.name} as the registry has it: "
                f"{problem} If what you apply is what you want, set {ACCEPT}={accepted} for this "
                "one apply, and materialize the whole past afterwards (`feast materialize`)."
            )


def check_none_vanishes(
    deleted: Iterable[BackwardCompatibleSource], staying: Iterable[BackwardCompatibleSource]
) -> None:
    """Refuse to delete all views that there are of an embedding.

    Args:
        deleted: the sources of the version views that are to go.
        staying: those of the version views that are there afterwards.

    Raises:
        LineageError: an embedding would go, and was not given up by name.
    """
    gone = {source.embedding for source in deleted} - {source.embedding for source in staying}
    for embedding in sorted(gone):
        if not is_accepted(ACCEPT, f"{embedding}@none"):
            raise LineageError(
                f"The registry has views of the embedding {embedding!r}, the definitions none: "
                "every consumer of it would lose its features. Is the catalog lost, or another one "
                f"named? If the embedding is to go, set {ACCEPT}={embedding}@none for this one "
                "apply."
            )


def head(source: BackwardCompatibleSource) -> str:
    """16 hex digits that name a lineage; for versions of no catalog, their content."""
    if source.history:
        return source.history[-1].rpartition("=")[2]
    versions = (*source.older, *source.members)
    return digest(" ".join(version.native_digest for version in versions).encode())[:16]


def _problem(before: BackwardCompatibleSource, after: BackwardCompatibleSource) -> str | None:
    """Why `after` cannot follow `before`; None if it can."""
    if before.history is None or after.history is None:
        return _differing_versions(before, after)
    if _begins_with(after.history, before.history):
        return None
    if _begins_with(before.history, after.history):
        return (
            f"the registry knows {len(before.history)} entries of the catalog's history, the "
            f"definitions {len(after.history)}. They were read before an activation, a rollback or "
            "another change: run `feast apply` again, in a process that reads the catalog now. Or "
            "the catalog was restored from a backup older than the registry: record in it again "
            "what is missing."
        )
    return (
        "the catalog's history is another one than the registry knows. The catalog was lost and "
        "its numbers used again, or another catalog is named: restore it, or name the right one."
    )


def _begins_with(history: tuple[str, ...], beginning: tuple[str, ...]) -> bool:
    """Whether one history goes on from another.

    Versions that no event published may have been joined by others, as long as a release wrote
    the catalog that records no publications.
    """
    events, first = _split(history), _split(beginning)
    return first[0] <= events[0] and events[1][: len(first[1])] == first[1]


def _split(history: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """The versions that no event published, and the events."""
    return {e for e in history if "=" in e}, [e for e in history if "=" not in e]


def _differing_versions(
    before: BackwardCompatibleSource, after: BackwardCompatibleSource
) -> str | None:
    """What is different about the versions that both have; None if nothing is."""
    ours = (*after.older, *after.members)
    theirs = (*before.older, *before.members)
    for mine, other in zip(ours, theirs, strict=False):
        if mine.dim != other.dim:
            what = f"{other.dim} dimensions, now {mine.dim}"
        elif mine.native_digest != other.native_digest:
            what = "another source, feature, transformation or manifest"
        else:
            continue
        return (
            f"version {mine.version} had {what}. A version is immutable: give what is new the next "
            "number. If its catalog was lost, restore it."
        )
    return None
