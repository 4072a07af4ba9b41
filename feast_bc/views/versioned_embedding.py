"""A versioned embedding: one plain Feast feature view per embedding version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureView, Field, PushSource
from feast.types import Array, Float32, from_value_type
from feast.value_type import ValueType

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.signature import check_chain_signed, required_keys
from feast_bc.catalog.versions import EmbeddingVersion, check_versions
from feast_bc.errors import EntityKeyError, UnknownVersionError
from feast_bc.publishing.alignment import stored_errors
from feast_bc.views.serving import (
    MATERIALIZED,
    ROLLBACK_VERSIONS,
    Serving,
    check_kept,
    check_rollback_versions,
    check_serving,
)
from feast_bc.views.source import BackwardCompatibleSource, view_name
from feast_bc.views.tags import Errors, view_tags


class VersionedEmbedding:
    """A family of feature views `<name>_v0`, `<name>_v1`, ..., one per version.

    Args:
        name: the embedding's name, e.g. `user_embedding`.
        versions: versions 0, 1, ..., K, as `EmbeddingCatalog.versions` returns them. Retired
            ones stay in the list: they are links of the chain, only their view is gone. With no
            version there is no view.
        entities: the Feast entities that the vectors belong to.
        feature: the name of the one feature of each view.
        ttl: Feast's time to live, for all views of the family; None for no limit.
        online: whether the views are materialized.
        serving: "materialized" to keep every view's values in the online store, where any Feast
            reader finds them; "on_read" to keep native vectors only and transform them when they
            are read, through `BackwardCompatibleProvider`.
        rollback_versions: after how many rollbacks views that are served on read still have their
            values at hand. Beyond that, reads are refused until `feast materialize` has run. Each
            costs about one native vector per entity. With 0, let all readers take up a new
            registry before the first run after an activation: it deletes what older versions had.
            It means nothing to views that are served materialized.
        history: the versions' `Shelf.lineage`, by which `feast apply` knows definitions that are
            older than the registry; None where they come from no catalog.
        keep_unchanged: where entities whose input has not changed are to keep their vector, the
            name of a timestamp column that every version's batch source has: from when the
            entity's input is what the row was computed from. A row of an older version that says
            the same instant as the newest version's row, or a later one, gives the view its value:
            it is exact, and a transformed vector is not. Null where it is not known. Not with
            `serving="on_read"` or `push`. None (the default): the newest version gives all values.
        push: whether each view also gets a Feast push source `<view>_push`, so that
            `store.push("user_embedding_v1_push", rows)` writes native vectors of version 1.
        tags, owner, description: as on `feast.FeatureView`.
        vector_index: whether the online store should index the vectors for similarity search; of
            views that are served on read it is the native vectors.
        vector_search_metric: its metric ("cosine", "L2", "inner_product", ...).
        catalog: where the versions were published; a tag tells it.
        errors: per version k, and per older version j, the centred error of the chain k -> j; tags
            tell them, and the metric `feast_bc_relative_error` does.

    Raises:
        CatalogError: there is no such serving, or no such number of rollbacks.
        EntityKeyError: `entities` is empty, or holds something else.
        ProviderError: `keep_unchanged` on views that are served on read, or with `push`.
        ChainGapError, DirectionError, DimensionError: the versions form no chain.
    """

    def __init__(
        self,
        name: str,
        *,
        versions: Sequence[EmbeddingVersion],
        entities: Sequence[Entity],
        feature: str = "embedding",
        ttl: timedelta | None = None,
        online: bool = True,
        serving: Serving = MATERIALIZED,
        rollback_versions: int = ROLLBACK_VERSIONS,
        history: Sequence[str] | None = None,
        keep_unchanged: str | None = None,
        push: bool = False,
        tags: dict[str, str] | None = None,
        owner: str = "",
        description: str = "",
        vector_index: bool = False,
        vector_search_metric: str | None = None,
        catalog: str = "",
        errors: Errors | None = None,
    ) -> None:
        check_versions(name, versions)
        if not entities or not all(isinstance(entity, Entity) for entity in entities):
            raise EntityKeyError(
                f"{name}: expected the Feast entities that the vectors belong to; found "
                f"entities={entities!r}. Pass such as entities=[Entity(name='user', "
                "join_keys=['user_id'], value_type=ValueType.INT64)]."
            )
        check_serving(serving)
        check_kept(name, keep_unchanged, serving, push=push)
        self.name = name
        self.versions = tuple(versions)
        self.entities = list(entities)
        self.feature = feature
        self.ttl = ttl
        self.online = online
        self.serving = serving
        self.rollback_versions = check_rollback_versions(rollback_versions)
        self.history = history
        self.keep_unchanged = keep_unchanged
        self.push = push
        self.tags = tags or {}
        self.owner = owner
        self.description = description
        self.vector_index = vector_index
        self.vector_search_metric = vector_search_metric
        self.catalog = catalog
        self.errors = errors
        self._views = {v.version: self._feature_view(v) for v in self.versions if not v.retired}

    @classmethod
    def from_catalog(
        cls,
        catalog: EmbeddingCatalog,
        name: str,
        *,
        entities: Sequence[Entity],
        empty: bool = False,
        **options: Any,
    ) -> VersionedEmbedding:
        """The versioned embedding with all versions that stand in `catalog`.

        Args:
            catalog: where the versions were published.
            name, entities: as on the constructor.
            empty: whether it may have no version yet; then it has no view. If the registry has
                views of it, `feast apply` refuses to delete them all.
            options: every other argument of the constructor.

        Raises:
            UnknownVersionError: the catalog has no such embedding.
            EntityKeyError: the entities have other join keys than the versions.
            CatalogError: the catalog cannot be read.
            SignatureError: the environment asks for signatures, and a version has none.
        """
        shelf = catalog.shelf(name, empty=empty)
        if keys := required_keys():
            check_chain_signed(shelf, catalog.files, len(shelf.versions) - 1, keys)
        versions = [published.as_embedding_version() for published in shelf.versions]
        told = {"catalog": catalog.root, "errors": stored_errors(shelf.versions)}
        embedding = cls(
            name,
            versions=versions,
            history=shelf.lineage,
            entities=entities,
            **{**told, **options},
        )
        if shelf.versions:
            _check_join_keys(embedding, shelf.versions[0].manifest.join_keys)
        return embedding

    def view(self, version: int) -> FeatureView:
        """The feature view of one version.

        Raises:
            UnknownVersionError: never published, or retired.
        """
        try:
            return self._views[version]
        except KeyError:
            fate = "is retired" if version < len(self.versions) and version >= 0 else "is unknown"
            offered = ", ".join(map(str, self._views)) or "none"
            raise UnknownVersionError(
                f"{self.name} version {version} {fate}; offered versions: {offered}. Pin the "
                "consumer to one of those."
            ) from None

    def feature_views(self) -> dict[str, FeatureView]:
        """All views by name, oldest first.

        `feast apply` finds only module-level objects, so a definitions file says
        `globals().update(embedding.feature_views())`.
        """
        return {view.name: view for view in self._views.values()}

    def _feature_view(self, version: EmbeddingVersion) -> FeatureView:
        name = view_name(self.name, version.version)
        members = self.versions[version.version :]
        told = view_tags(self.name, members, self.serving, catalog=self.catalog, errors=self.errors)
        tags = {**self.tags, **told}
        join_keys = [
            Field(name=entity.join_key, dtype=from_value_type(entity.value_type))
            for entity in self.entities
            if entity.value_type != ValueType.UNKNOWN
        ]
        vector = Field(
            name=self.feature,
            dtype=Array(Float32),
            vector_index=self.vector_index,
            vector_length=version.dim,
            vector_search_metric=self.vector_search_metric,
        )
        source = BackwardCompatibleSource(
            name=name,
            embedding=self.name,
            members=members,
            older=self.versions[: version.version],
            ttl=self.ttl,
            serving=self.serving,
            rollback_versions=self.rollback_versions,
            history=self.history,
            keep_unchanged=self.keep_unchanged,
            tags=tags,
            owner=self.owner,
        )
        return FeatureView(
            name=name,
            entities=self.entities,
            schema=[*join_keys, vector],
            ttl=self.ttl or timedelta(0),
            online=self.online,
            tags=tags,
            owner=self.owner,
            description=self.description or _describe(self.name, members),
            source=PushSource(name=f"{name}_push", batch_source=source) if self.push else source,
        )


def _describe(name: str, members: Sequence[EmbeddingVersion]) -> str:
    """A sentence for people who meet the view in the registry or the UI."""
    own = members[0]
    sentence = f"{name} version {own.version}, {own.dim} dimensions"
    if len(members) == 1:
        return sentence + ": native vectors of the newest version."
    return sentence + f", kept compatible with versions up to {members[-1].version}."


def _check_join_keys(embedding: VersionedEmbedding, published: Sequence[str]) -> None:
    """Refuse entities that are not those by which the versions' rows are told apart."""
    found = [entity.join_key for entity in embedding.entities]
    if sorted(found) != sorted(published):
        raise EntityKeyError(
            f"{embedding.name} was published with the join keys {', '.join(published)}; its "
            f"entities have {', '.join(found)}. Pass entities whose join_keys are the published "
            "ones; what another view calls them is said where it is asked for, by "
            "`with_join_key_map`."
        )
