"""Looking a feature repo over: what would go wrong, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import requires, version
from pathlib import Path
from typing import TypeVar

from feast import FeatureStore, FeatureView
from feast.repo_config import RepoConfig
from packaging.requirements import Requirement

from feast_bc.catalog.check import Check
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.cli.repo_source import load_config
from feast_bc.errors import FeastBCError
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NOTHING
from feast_bc.views.lineage import check_lineage
from feast_bc.views.provider_line import PROVIDER, serves_version_views
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import value_views, version_source

Found = TypeVar("Found")


@dataclass
class Examination:
    """Checks a feature repo, its registry, catalog, sources and online store.

    Args:
        repo: the feature repo's folder.
        catalog: the catalog that it reads; None leaves it out.
    """

    repo: Path
    catalog: EmbeddingCatalog | None
    checks: list[Check] = field(default_factory=list)

    def run(self) -> list[Check]:
        """One result per thing checked; what is wrong never raises."""
        self._check("Feast", _check_feast)
        config = self._check("feature_store.yaml", lambda: load_config(self.repo))
        if config is None:
            return self.checks
        self._check("provider", lambda: _check_provider(config))
        self._note_refused_readers(config)
        store = self._check("registry", lambda: FeatureStore(str(self.repo.resolve())))
        views = store and self._check("registry", store.list_feature_views)
        if store is None or views is None:
            return self.checks
        families = _families(views)
        if not families:
            self._note("registry", "it has no version views: run `feast apply`.")
        for embedding, members in families.items():
            self._check_catalog(embedding, members)
            self._check_sources(embedding, members, config)
            self._check_online(embedding, members, store)
        return self.checks

    def _check_catalog(self, embedding: str, views: list[FeatureView]) -> None:
        if self.catalog is None:
            self._note(f"{embedding}: catalog", "not looked at: name it with --catalog.")
            return
        catalog = self.catalog
        damaged = self._check(f"{embedding}: catalog", lambda: catalog.verify(embedding)) or []
        for check in damaged:
            if not check.ok:
                self.checks.append(check)
        lineage = self._check(f"{embedding}: catalog", lambda: catalog.history(embedding))
        known = views[0].batch_source.history
        if lineage is None or known is None or lineage == known:
            return
        subject = f"{embedding}: registry and catalog"
        if lineage[: len(known)] == known:
            newer = len(lineage) - len(known)
            self._note(subject, f"the catalog is newer by {newer} event(s): run `feast apply`.")
            return
        renewed = BackwardCompatibleSource(
            name=views[0].name,
            embedding=embedding,
            members=views[0].batch_source.members,
            older=views[0].batch_source.older,
            history=lineage,
        )
        self._check(subject, lambda: check_lineage(renewed, [views[0].batch_source]))

    def _check_sources(self, embedding: str, views: list[FeatureView], config: RepoConfig) -> None:
        source = views[0].batch_source
        keys = [entity.name for entity in views[0].entity_columns]
        for member in (*source.older, *source.members):
            subject = f"{embedding} version {member.version}: source {member.source.name}"
            self._check(subject, partial(_check_columns, member, keys, config))
        self._check(
            f"{embedding}: transformations",
            lambda: [source.chain_from(member.version) for member in source.newer_members],
        )

    def _check_online(self, embedding: str, views: list[FeatureView], store: FeatureStore) -> None:
        stored = [each for view in views for each in value_views(view)]
        named = list({each.name: each for each in stored}.values())
        records = self._check(
            f"{embedding}: online store",
            lambda: WrittenViews(store.provider.online_store, store.config, views[0]).read(named),
        )
        never = [v.name for v, r in zip(named, records or [], strict=False) if r == NOTHING]
        if never:
            self._note(
                f"{embedding}: online store",
                f"{', '.join(never)}: never materialized as a whole. Run `feast materialize`.",
            )

    def _note_refused_readers(self, config: RepoConfig) -> None:
        if not config.registry.serve_features_while_materializing:
            self._note(
                "feature_store.yaml",
                "Feast refuses readers of a view that is being materialized, and after a run that "
                "was killed. Set `serve_features_while_materializing: true` below `registry`.",
            )

    def _check(self, subject: str, look: Callable[[], Found]) -> Found | None:
        try:
            found = look()
        except FeastBCError as error:
            self.checks.append(Check(subject, str(error)))
        except Exception as error:  # stores and drivers raise whatever their SDK raises
            self.checks.append(
                Check(
                    subject,
                    f"{type(error).__name__}: {error}. Check the address, the credentials and that "
                    "the driver's extra is installed.",
                )
            )
        else:
            if all(check.subject != subject for check in self.checks):
                self.checks.append(Check(subject))
            return found
        return None

    def _note(self, subject: str, note: str) -> None:
        self.checks = [check for check in self.checks if check != Check(subject)]
        self.checks.append(Check(subject, note=note))


def _check_feast() -> None:
    found = version("feast")
    for line in requires("feast-bc") or []:
        needed = Requirement(line)
        if needed.name == "feast" and needed.marker is None and found not in needed.specifier:
            raise FeastBCError(
                f"Feast {found} is installed, expected {needed.specifier}. Run `pip install "
                f"'feast{needed.specifier}'`."
            )


def _check_provider(config: RepoConfig) -> None:
    if not serves_version_views(config.provider):
        raise FeastBCError(
            f"feature_store.yaml says `provider: {config.provider}`: version views can be read, "
            f"but neither applied nor written. Set `provider: {PROVIDER}`."
        )


def _check_columns(member: EmbeddingVersion, keys: list[str], config: RepoConfig) -> None:
    source = member.source
    source.validate(config)
    renamed = source.field_mapping
    columns = {
        renamed.get(name, name) for name, _ in source.get_table_column_names_and_types(config)
    }
    needed = [*keys, renamed.get(source.timestamp_field, source.timestamp_field), member.feature]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise FeastBCError(
            f"it has no column {', '.join(missing)}; there are: {', '.join(sorted(columns))}. "
            "Restore what was published."
        )


def _families(views: list[FeatureView]) -> dict[str, list[FeatureView]]:
    """The version views of each embedding, the oldest version first."""
    found: dict[str, list[FeatureView]] = {}
    for view in sorted(views, key=_version):
        source = version_source(view)
        if source is not None:
            found.setdefault(source.embedding, []).append(view)
    return found


def _version(view: FeatureView) -> int:
    source = version_source(view)
    return -1 if source is None else source.version
