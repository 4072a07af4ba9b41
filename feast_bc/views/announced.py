"""What an apply does to version views, in words for who runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from feast import FeatureService, FeatureView

from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import version_source


def came_and_went(
    registered: Iterable[FeatureView], kept: Iterable[FeatureView], deleted: Iterable[FeatureView]
) -> list[str]:
    """One line per version view that comes, changes or goes; none for one that stays as it is.

    Args:
        registered: what the registry has so far.
        kept: what is applied.
        deleted: what is deleted.
    """
    before = _version_views(registered)
    lines = [
        f"  {name}: {_change(before.get(name), view)}"
        for name, view in sorted(_version_views(kept).items())
        if name not in before or before[name].batch_source != view.batch_source
    ]
    lines += [f"  {name}: goes" for name in sorted(_version_views(deleted))]
    return ["Version views:", *lines] if lines else []


def summary(registered: object) -> str | None:
    """What a version view, or a feature service with one, amounts to; None for anything else."""
    if isinstance(registered, FeatureService):
        views = registered.feature_view_projections
        of_versions = any(isinstance(v.batch_source, BackwardCompatibleSource) for v in views)
        return ", ".join(view.name_to_use() for view in views) if of_versions else None
    source = version_source(registered)
    return None if source is None else _givers(source)


def _givers(source: BackwardCompatibleSource) -> str:
    """Which versions may give a view its values, the first that has one first, and when."""
    own, *newer = source.members
    given = [
        f"v{member.version} from {member.activations[-1].active_from.isoformat()}"
        + (f" until {until.isoformat()}" if (until := member.activations[-1].active_until) else "")
        for member in reversed(newer)
        if member.activations
    ]
    ttl = "" if source.ttl is None else f", TTL {source.ttl}"
    return f"{', else '.join([*given, f'v{own.version}'])}; {source.serving}{ttl}"


def _change(before: FeatureView | None, after: FeatureView) -> str:
    new = _givers(after.batch_source)
    if before is None:
        return f"comes: {new}"
    old = _givers(before.batch_source)
    return f"changes: {new} (was: {old})" if old != new else f"changes: {new} (as before)"


def _version_views(views: Iterable[FeatureView]) -> Mapping[str, FeatureView]:
    return {view.name: view for view in views if version_source(view) is not None}
