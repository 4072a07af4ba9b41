"""What the Feast registry keeps of a version view, beside what Feast keeps of every view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field, model_validator
from typing_extensions import Self

from feast_bc.catalog.data_source_json import source_from_json, source_to_json
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.rule import Activation
from feast_bc.stored_format import Instant, JsonObject, Part, StoredFormat
from feast_bc.transforms.artifact import TransformRef
from feast_bc.transforms.base import MAX_DIM
from feast_bc.views.serving import ROLLBACK_VERSIONS, Serving


class ReferenceEntry(Part):
    """Where a version's transformation stands: the fields of `TransformRef`."""

    uri: str
    sha256: str
    from_version: int
    to_version: int
    from_dim: int
    to_dim: int

    @classmethod
    def of(cls, link: TransformRef) -> ReferenceEntry:
        return cls(
            uri=link.uri,
            sha256=link.sha256,
            from_version=link.from_version,
            to_version=link.to_version,
            from_dim=link.from_dim,
            to_dim=link.to_dim,
        )

    def as_reference(self) -> TransformRef:
        return TransformRef(
            self.uri, self.sha256, self.from_version, self.to_version, self.from_dim, self.to_dim
        )


class ActivationEntry(Part):
    """When a version serves older views."""

    active_from: Instant
    active_until: Instant | None


class MemberEntry(Part):
    """A version of the embedding: the fields of `EmbeddingVersion`."""

    version: int = Field(ge=0)
    dim: int = Field(ge=1, le=MAX_DIM)
    feature: str
    source: JsonObject
    transform: ReferenceEntry | None
    activations: tuple[ActivationEntry, ...]
    retired: bool
    manifest_sha256: str
    replaced_transform: str = ""
    contents: str = ""

    @classmethod
    def of(cls, member: EmbeddingVersion) -> MemberEntry:
        return cls(
            version=member.version,
            dim=member.dim,
            feature=member.feature,
            source=source_to_json(member.source),
            transform=None if member.transform is None else ReferenceEntry.of(member.transform),
            activations=tuple(
                ActivationEntry(active_from=a.active_from, active_until=a.active_until)
                for a in member.activations
            ),
            retired=member.retired,
            manifest_sha256=member.manifest_sha256,
            replaced_transform=member.replaced_transform,
            contents=member.contents,
        )

    def as_version(self, *, of: str) -> EmbeddingVersion:
        return EmbeddingVersion(
            version=self.version,
            dim=self.dim,
            feature=self.feature,
            source=source_from_json(self.source, of=of),
            transform=None if self.transform is None else self.transform.as_reference(),
            activations=tuple(Activation(a.active_from, a.active_until) for a in self.activations),
            retired=self.retired,
            manifest_sha256=self.manifest_sha256,
            replaced_transform=self.replaced_transform,
            contents=self.contents,
        )


class RegistryPlan(StoredFormat):
    """The versions behind a view.

    Attributes:
        embedding: the versioned embedding.
        ttl_seconds: the view's TTL; None for no limit.
        serving: what stands in the online store.
        rollback_versions: after so many rollbacks a view that is served on read still has its
            values at hand. Schema 1 has no such field: it is 1.
        members: versions j, j+1, ..., K; before schema 3 without what their sources held.
        older: versions 0, 1, ..., j-1.
        history: the lineage of the catalog that the versions come from, see
            `feast_bc.catalog.shelf`; None where they come from none.
        keep_unchanged: the column of the native rows that says from when the entity's input is
            unchanged, where unchanged vectors are kept; None where they are not.
    """

    NOUN = "the plan of a version view"
    REMEDY = "Run `feast apply` again."
    SCHEMA = 3
    SINCE: ClassVar[Mapping[str, int]] = {"rollback_versions": 2, "history": 2, "keep_unchanged": 3}

    embedding: str
    ttl_seconds: float | None = Field(ge=0, lt=1e13)  # what a timedelta holds
    serving: Serving
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    older: tuple[MemberEntry, ...]
    rollback_versions: int = Field(default=ROLLBACK_VERSIONS, ge=0, lt=2**31)
    history: tuple[str, ...] | None = None
    keep_unchanged: str | None = None

    @model_validator(mode="after")
    def _versions_form_a_chain(self) -> Self:
        found = [member.version for member in (*self.older, *self.members)]
        if found != list(range(len(found))):
            raise ValueError(f"expected versions 0, 1, 2, ... without gaps, found {found}")
        return self

    @classmethod
    def new(
        cls,
        *,
        embedding: str,
        ttl: timedelta | None,
        serving: Serving,
        rollback_versions: int,
        members: Sequence[EmbeddingVersion],
        older: Sequence[EmbeddingVersion],
        history: Sequence[str] | None,
        keep_unchanged: str | None,
    ) -> RegistryPlan:
        """The plan of a view, from the versions themselves."""
        return cls(
            schema_version=cls.SCHEMA,
            embedding=embedding,
            ttl_seconds=None if ttl is None else ttl.total_seconds(),
            serving=serving,
            rollback_versions=rollback_versions,
            members=tuple(map(MemberEntry.of, members)),
            older=tuple(map(MemberEntry.of, older)),
            history=None if history is None else tuple(history),
            keep_unchanged=keep_unchanged,
        )

    @property
    def ttl(self) -> timedelta | None:
        return None if self.ttl_seconds is None else timedelta(seconds=self.ttl_seconds)
