"""Whether the source of a published version still holds what was published."""

from __future__ import annotations

from collections.abc import Iterable

from feast.repo_config import RepoConfig

from feast_bc.catalog.check import Check
from feast_bc.catalog.published_version import PublishedVersion
from feast_bc.errors import FeastBCError
from feast_bc.native.source_check import check_held, look_at


def check_source(
    published: PublishedVersion,
    config: RepoConfig | None,
    *,
    max_shrink: float | None = None,
    thorough: bool = False,
) -> None:
    """Refuse a source that does not hold what was published, if that was noted.

    Args:
        published: the version.
        config: the feature repo's configuration, for sources that are not parquet files.
        max_shrink: as for `check_held`.
        thorough: as for `look_at`.

    Raises:
        SourceChangedError: as `check_held`.
        InvalidVectorsError: the source cannot be read.
    """
    manifest, contents = published.manifest, published.contents
    if contents is None:
        return
    held = look_at(
        manifest.source,
        contents,
        feature=manifest.feature,
        join_keys=list(manifest.join_keys),
        config=config,
        thorough=thorough,
    )
    if held is not None:
        name = f"{manifest.embedding} version {manifest.version}"
        check_held(
            contents,
            held,
            of=f"{name}: source {manifest.source.name!r}",
            view=f"{manifest.embedding}_v{manifest.version}",
            max_shrink=max_shrink,
        )


def source_checks(published: Iterable[PublishedVersion], config: RepoConfig | None) -> list[Check]:
    """One result per version: what a run would refuse of its source is a problem."""
    checks = []
    for each in published:
        subject = f"{each.manifest.embedding}: version {each.version}: source"
        try:
            check_source(each, config, thorough=True)
        except FeastBCError as error:
            checks.append(Check(subject, problem=str(error)))
        else:
            note = None
            if each.contents is None:
                note = (
                    "what it held was not noted, so that nobody can tell whether it changed. "
                    "Publish the version again to note it."
                )
            checks.append(Check(subject, note=note))
    return checks
