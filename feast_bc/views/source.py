"""The data source of a version view: native vectors of several versions and the chain to view j."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property

import numpy as np
from feast import FileSource, type_map
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import InvalidVectorsError, ProviderError
from feast_bc.native.batch_source import check_format, column_in
from feast_bc.rule import Digests, Member, Plan
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.chain import load_chain
from feast_bc.views.provider_line import PROVIDER, UnwritableColumns, check_provider
from feast_bc.views.registry_plan import RegistryPlan
from feast_bc.views.serving import (
    MATERIALIZED,
    ON_READ,
    ROLLBACK_VERSIONS,
    Serving,
    check_kept,
    check_rollback_versions,
    check_serving,
)

CLASS = "feast_bc.BackwardCompatibleSource"
"""Under which name the registry knows the class below, wherever it stands."""


class _NoTableError(ProviderError, AttributeError):
    """Also for whoever looks whether a source has an attribute: this one has not."""


class BackwardCompatibleSource(DataSource):  # type: ignore[misc]
    """What Feast stores in its registry for the view of embedding version j.

    It holds no vectors and no code: the batch sources of all versions k >= j, when they are
    active, and references to their transformations, all as JSON. The older versions stand beside
    them, so that a vector that is pushed to one view finds its way to the others.

    Args:
        name: the view's name; also the data source's name in the registry.
        embedding: the versioned embedding it belongs to.
        members: versions j, j+1, ..., K, in that order.
        older: versions 0, 1, ..., j-1, in that order.
        ttl: the view's TTL; None for no limit.
        serving: what stands in the online store, see `feast_bc.views.serving`.
        rollback_versions: after how many rollbacks a view that is served on read still has its
            values at hand.
        history: the lineage of the catalog that the versions come from, see
            `feast_bc.catalog.shelf`; None where they come from none.
        keep_unchanged: the column of every version's rows (after the field mapping) that says from
            when the entity's input is unchanged, where unchanged vectors are kept; see
            `feast_bc.rule`. None where they are not.
        timestamp_field: the name that rows pulled from this source use for their event timestamp.
    """

    def __init__(
        self,
        *,
        name: str,
        embedding: str,
        members: Sequence[EmbeddingVersion],
        older: Sequence[EmbeddingVersion] = (),
        ttl: timedelta | None = None,
        serving: Serving = MATERIALIZED,
        rollback_versions: int = ROLLBACK_VERSIONS,
        history: Sequence[str] | None = None,
        keep_unchanged: str | None = None,
        timestamp_field: str = "event_timestamp",
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
    ) -> None:
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            description=description,
            tags=tags,
            owner=owner,
        )
        self.field_mapping = UnwritableColumns(name, timestamp_field)
        self.embedding = embedding
        self.members = tuple(members)
        self.older = tuple(older)
        self.ttl = ttl or None
        self.serving = check_serving(serving)
        self.rollback_versions = check_rollback_versions(rollback_versions)
        self.history = None if history is None else tuple(history)
        self.keep_unchanged = keep_unchanged
        self._chains: dict[int, BackwardTransform] = {}

    @property
    def version(self) -> int:
        """j: the version that this source's vectors are compatible with."""
        return self.members[0].version

    @property
    def dim(self) -> int:
        """D_j."""
        return self.members[0].dim

    @cached_property
    def native_size(self) -> int:
        """How many bytes the native vectors of one entity take, all members' together."""
        return sum(member.dim for member in self.members) * np.dtype(np.float32).itemsize

    @property
    def on_read(self) -> bool:
        """Whether the online store holds native vectors only, transformed when they are read."""
        return self.serving == ON_READ

    @property
    def newer_members(self) -> tuple[EmbeddingVersion, ...]:
        """The versions k > j."""
        return self.members[1:]

    def member(self, version: int) -> EmbeddingVersion:
        """Version k >= j."""
        return self.members[version - self.version]

    def chain_from(self, version: int) -> BackwardTransform:
        """The folded transformation from `version` k > j to j, loaded and verified.

        Raises:
            ArtifactError, DirectionError, DimensionError, ChainGapError: the stored chain is not
                what was published.
        """
        chain = self._chains.get(version)
        if chain is None:
            links = [m.transform for m in self.newer_members if m.version <= version]
            chain = load_chain(tuple(link for link in reversed(links) if link is not None))
            self._chains[version] = chain
        return chain

    @cached_property
    def plan(self) -> Plan:
        """What the rule knows of the view."""
        micros = None if self.ttl is None else self.ttl // timedelta(microseconds=1)
        own, *newer = self.members
        # A transformation leads on from its version: the version's own view does without it.
        members = [Member(own.version, own.native_digest, own.activations)]
        members += (Member(m.version, m.digest, m.activations) for m in newer)
        return Plan(tuple(members), micros, self.keep_unchanged)

    @cached_property
    def digests(self) -> Digests:
        """Per version of the family the number that `feast_bc.rule.State` knows it by."""
        versions = (*self.older, *self.members)
        return np.array([int(m.native_digest[:8], 16) for m in versions], np.uint32)

    def of_version(self, version: int) -> BackwardCompatibleSource:
        """The source of another version's view of the same versioned embedding."""
        versions = (*self.older, *self.members)
        return BackwardCompatibleSource(
            name=view_name(self.embedding, version),
            embedding=self.embedding,
            members=versions[version:],
            older=versions[:version],
            ttl=self.ttl,
            serving=self.serving,
            rollback_versions=self.rollback_versions,
            history=self.history,
            keep_unchanged=self.keep_unchanged,
            timestamp_field=self.timestamp_field,
        )

    def with_serving(self, serving: Serving) -> BackwardCompatibleSource:
        """The same source with another serving.

        Raises:
            ProviderError: the embedding keeps unchanged vectors; that serving cannot.
        """
        source = self.of_version(self.version)
        source.serving = check_serving(serving)
        check_kept(self.embedding, self.keep_unchanged, source.serving, push=False)
        return source

    def native(self, version: int) -> BackwardCompatibleSource:
        """A source with the native vectors of one version >= j and nothing else, at any age."""
        return BackwardCompatibleSource(
            name=native_name(self.embedding, version),
            embedding=self.embedding,
            members=[replace(self.member(version), activations=())],
            older=(*self.older, *self.members[: version - self.version]),
            timestamp_field=self.timestamp_field,
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BackwardCompatibleSource)
            and super().__eq__(other)
            and self._plan_message() == other._plan_message()
        )

    def __hash__(self) -> int:
        return super().__hash__()  # type: ignore[no-any-return]

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        return DataSourceProto.CUSTOM_SOURCE

    def _plan_message(self) -> RegistryPlan:
        return RegistryPlan.new(
            embedding=self.embedding,
            ttl=self.ttl,
            serving=self.serving,
            rollback_versions=self.rollback_versions,
            members=self.members,
            older=self.older,
            history=self.history,
            keep_unchanged=self.keep_unchanged,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        proto = DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=CLASS,
            timestamp_field=self.timestamp_field,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )
        proto.custom_options.configuration = json.dumps(self._plan_message().as_json()).encode()
        return proto

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> BackwardCompatibleSource:
        of = f"data source {data_source.name!r} in the Feast registry"
        plan = RegistryPlan.loads(data_source.custom_options.configuration, of=of)
        return BackwardCompatibleSource(
            name=data_source.name,
            embedding=plan.embedding,
            members=[member.as_version(of=of) for member in plan.members],
            older=[member.as_version(of=of) for member in plan.older],
            ttl=plan.ttl,
            serving=plan.serving,
            rollback_versions=plan.rollback_versions,
            history=plan.history,
            keep_unchanged=plan.keep_unchanged,
            timestamp_field=data_source.timestamp_field,
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def validate(self, config: RepoConfig) -> None:
        """Check that the store can serve this source; Feast calls it on `feast apply`.

        Raises:
            ProviderError: `feature_store.yaml` names another provider.
            InvalidVectorsError: the offline store cannot tell a batch source's format, or a source
                does not say from when an input is unchanged.
            FeastBCError: the chain, or a file of it, is not what was published.
        """
        check_provider(config, self.name, self.embedding)
        for member in self.members:
            check_format(member.source, config)
            member.source.validate(config)
            self._check_says_unchanged(member, config)
        for member in self.newer_members:
            self.chain_from(member.version)

    def _check_says_unchanged(self, member: EmbeddingVersion, config: RepoConfig) -> None:
        if self.keep_unchanged is None:
            return
        source, name = member.source, column_in(member.source, self.keep_unchanged)
        columns = dict(source.get_table_column_names_and_types(config))
        kind = source.source_datatype_to_feast_value_type()
        if name in columns and kind(columns[name]) == ValueType.UNIX_TIMESTAMP:
            return
        found = f"it is {columns[name]}" if name in columns else f"it has {', '.join(columns)}"
        raise InvalidVectorsError(
            f"{self.embedding} keeps unchanged vectors: source {source.name!r} of version "
            f"{member.version} needs a timestamp column {name!r} that says from when each "
            f"entity's input is unchanged; {found}. Add it: null where it is not known, and the "
            "event timestamp for rows of a version that nobody compares any more."
        )

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return type_map.pa_to_feast_value_type  # type: ignore[no-any-return]

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Columns of version j's own batch source; Feast infers the join keys' types from them."""
        return self.members[0].source.get_table_column_names_and_types(config)  # type: ignore[no-any-return]

    def get_table_query_string(self) -> str:
        raise self._no_table()

    def resolve_credentials(self) -> dict[str, str] | None:
        """What Feast's stores of files ask first of a source that they are to read."""
        raise self._no_table()

    @property
    def path(self) -> str:
        """What Feast's Ray store asks first."""
        raise self._no_table()

    @property
    def file_options(self) -> object:
        """What they ask first of one that they are to write."""
        raise self._no_table()

    def _no_table(self) -> _NoTableError:
        return _NoTableError(
            f"{self.name!r} is a version view: no single table holds its vectors. It is read "
            f"through `provider: {PROVIDER}` in feature_store.yaml. Set it there, and apply again."
        )


# Feast's stores of files assert this of whatever they read, and say nothing where it does not hold.
# So they go on, to ask for what is refused above: nothing of ours runs in their process before.
FileSource.register(BackwardCompatibleSource)


def view_name(embedding: str, version: int) -> str:
    """What the feature view of a version is called."""
    return f"{embedding}_v{version}"


def native_name(embedding: str, version: int) -> str:
    """Under which name the native vectors of a version stand in the online store."""
    return f"{view_name(embedding, version)}_native"


def state_name(embedding: str, serving: Serving) -> str:
    """Under which name the states of a versioned embedding's entities stand in the online store.

    Each serving has its own: the two may stand beside one another.
    """
    return f"{embedding}_state" if serving == MATERIALIZED else f"{embedding}_native_state"
