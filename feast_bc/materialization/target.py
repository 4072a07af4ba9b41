"""What a materialization of version views writes to: each stored view once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from feast import FeatureView
from feast.infra.common.materialization_job import MaterializationTask

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.instants import to_micros
from feast_bc.errors import CatalogError
from feast_bc.rule import Kept, Plan
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import value_views


@dataclass
class Target:
    """A stored view that is to be written.

    Attributes:
        view: the feature view.
        start: the start of the window, in microseconds.
        users: the names of the requested views that need it.
        since: from when on native rows are news; None: all are.
        kept: what is kept of the native vectors, if the view has such; None for a view's values.
    """

    view: FeatureView
    start: int
    users: list[str] = field(default_factory=list)
    since: int | None = None
    kept: Kept | None = None

    @property
    def name(self) -> str:
        name: str = self.view.name
        return name

    @property
    def source(self) -> BackwardCompatibleSource:
        source: BackwardCompatibleSource = self.view.batch_source
        return source

    @property
    def plan(self) -> Plan:
        return self.source.plan

    @property
    def version(self) -> int:
        """j; of native vectors k."""
        return self.plan.version

    @property
    def decided(self) -> Plan | Kept:
        """What decides about what is written."""
        return self.plan if self.kept is None else self.kept

    def members(self, until: int) -> list[EmbeddingVersion]:
        """The versions to read: if all is news, also those that may have given values before."""
        if self.since is None:
            return list(self.source.members)
        return [self.source.member(version) for version in self.plan.counting(until)]


def targets_of(tasks: Sequence[MaterializationTask]) -> dict[str, Target]:
    """The stored views that tasks need, each once."""
    targets: dict[str, Target] = {}
    for task in tasks:
        start = to_micros(task.start_time)
        for view in value_views(task.feature_view):
            target = targets.setdefault(view.name, Target(view, start))
            target.start = min(target.start, start)
            target.users.append(task.feature_view.name)
    return targets


def content(member: EmbeddingVersion) -> EmbeddingVersion:
    """A version without its plan: what its native rows depend on. Views may plan differently."""
    return replace(member, activations=(), retired=False)


def reused_number(embedding: str, version: int) -> CatalogError:
    return CatalogError(
        f"the registry's views of {embedding} mean different versions {version}: the number was "
        "used again. Run `feast apply` with all views of the embedding."
    )
