"""The data source of a version view: native vectors of several versions and the chain to view j."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from feast import type_map
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from feast_bc.activation import Activation
from feast_bc.artifact import SCHEMA_VERSION, TransformRef, check_schema
from feast_bc.chain import load_chain
from feast_bc.data_source_json import source_from_json, source_to_json
from feast_bc.errors import CatalogError, ProviderError
from feast_bc.transforms import BackwardTransform
from feast_bc.versions import EmbeddingVersion

PROVIDER = "feast_bc.BackwardCompatibleProvider"


class BackwardCompatibleSource(DataSource):  # type: ignore[misc]
    """What Feast stores in its registry for the view of embedding version j.

    It holds no vectors and no code: the batch sources of all versions k >= j, when they are
    active, and references to their transformations, all as JSON.

    Args:
        name: the view's name; also the data source's name in the registry.
        embedding: the versioned embedding it belongs to.
        members: versions j, j+1, ..., K, in that order.
        ttl: the view's TTL; None for no limit.
        timestamp_field: the name that rows pulled from this source use for their event timestamp.
    """

    def __init__(
        self,
        *,
        name: str,
        embedding: str,
        members: Sequence[EmbeddingVersion],
        ttl: timedelta | None = None,
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
        self.embedding = embedding
        self.members = tuple(members)
        self.ttl = ttl or None

    @property
    def version(self) -> int:
        """j: the version that this source's vectors are compatible with."""
        return self.members[0].version

    @property
    def dim(self) -> int:
        """D_j."""
        return self.members[0].dim

    @property
    def newer_members(self) -> tuple[EmbeddingVersion, ...]:
        """The versions k > j."""
        return self.members[1:]

    def chain_from(self, version: int) -> BackwardTransform:
        """The folded transformation from `version` k > j to j, loaded and verified.

        Raises:
            ArtifactError, DirectionError, DimensionError, ChainGapError: the stored chain is not
                what was published.
        """
        links = [m.transform for m in self.newer_members if m.version <= version]
        return load_chain(tuple(link for link in reversed(links) if link is not None))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BackwardCompatibleSource)
            and super().__eq__(other)
            and self._plan() == other._plan()
        )

    def __hash__(self) -> int:
        return super().__hash__()  # type: ignore[no-any-return]

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        return DataSourceProto.CUSTOM_SOURCE

    def _plan(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "embedding": self.embedding,
            "ttl_seconds": None if self.ttl is None else self.ttl.total_seconds(),
            "members": [_member_to_json(member) for member in self.members],
        }

    def _to_proto_impl(self) -> DataSourceProto:
        proto = DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{type(self).__module__}.{type(self).__name__}",
            timestamp_field=self.timestamp_field,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )
        proto.custom_options.configuration = json.dumps(self._plan()).encode()
        return proto

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> BackwardCompatibleSource:
        of = f"data source {data_source.name!r} in the Feast registry"
        try:
            plan = json.loads(data_source.custom_options.configuration)
            check_schema(plan["schema_version"], of=of)
            ttl = plan["ttl_seconds"]
            return BackwardCompatibleSource(
                name=data_source.name,
                embedding=plan["embedding"],
                members=[_member_from_json(member, of=of) for member in plan["members"]],
                ttl=None if ttl is None else timedelta(seconds=ttl),
                timestamp_field=data_source.timestamp_field,
                description=data_source.description,
                tags=dict(data_source.tags),
                owner=data_source.owner,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CatalogError(
                f"{of} is malformed ({type(error).__name__}: {error}). Run `feast apply` again."
            ) from error

    def validate(self, config: RepoConfig) -> None:
        """Check that the store can serve this source; Feast calls it on `feast apply`.

        Raises:
            ProviderError: `feature_store.yaml` names another provider.
            FeastBCError: the chain, or a file of it, is not what was published.
        """
        if config.provider != PROVIDER:
            raise ProviderError(
                f"Feature view {self.name!r} belongs to the versioned embedding "
                f"{self.embedding!r}, but feature_store.yaml says `provider: {config.provider}`. "
                f"Set `provider: {PROVIDER}` there and apply again."
            )
        for member in self.members:
            member.source.validate(config)
        for member in self.newer_members:
            self.chain_from(member.version)

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return type_map.pa_to_feast_value_type  # type: ignore[no-any-return]

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Columns of version j's own batch source; Feast infers the join keys' types from them."""
        return self.members[0].source.get_table_column_names_and_types(config)  # type: ignore[no-any-return]

    def get_table_query_string(self) -> str:
        raise ProviderError(
            f"{self.name!r} is a version view: no single table holds its vectors. It is read "
            f"through `provider: {PROVIDER}` in feature_store.yaml."
        )


def _member_to_json(member: EmbeddingVersion) -> dict[str, Any]:
    return {
        "version": member.version,
        "dim": member.dim,
        "feature": member.feature,
        "source": source_to_json(member.source),
        "transform": None if member.transform is None else vars(member.transform),
        "activations": [
            {name: instant and instant.isoformat() for name, instant in vars(activation).items()}
            for activation in member.activations
        ],
    }


def _member_from_json(message: dict[str, Any], *, of: str) -> EmbeddingVersion:
    transform = message["transform"]
    return EmbeddingVersion(
        version=message["version"],
        dim=message["dim"],
        feature=message["feature"],
        source=source_from_json(message["source"], of=of),
        transform=None if transform is None else TransformRef(**transform),
        activations=tuple(
            Activation(
                **{name: text and datetime.fromisoformat(text) for name, text in pair.items()}
            )
            for pair in message["activations"]
        ),
    )
