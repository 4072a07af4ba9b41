"""Whether the sources of a view's versions still hold what was published."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.native.contents import Contents
from feast_bc.native.held import Held
from feast_bc.native.source_check import check_held, look_at
from feast_bc.views.source import view_name

Look = Callable[[EmbeddingVersion, Contents], "Held | None"]
"""(version, what its source held) -> what it holds now; None where looking takes too long."""


def looking(
    join_keys: Sequence[str], config: RepoConfig, store: OfflineStore | type[OfflineStore]
) -> Look:
    """Looks at sources from this process, where that is cheap.

    Args:
        join_keys: the key columns.
        config: the feature repo's configuration.
        store: its offline store.
    """

    def look(member: EmbeddingVersion, contents: Contents) -> Held | None:
        return look_at(
            member.source,
            contents,
            feature=member.feature,
            join_keys=list(join_keys),
            config=config,
            store=store,
        )

    return look


def check_source(embedding: str, member: EmbeddingVersion, look: Look) -> None:
    """Refuse a version's source that does not hold what was published, if that was noted.

    Args:
        embedding: the versioned embedding's name.
        member: the version.
        look: looks at its source.

    Raises:
        SourceChangedError: see `check_held`.
        InvalidVectorsError: the source cannot be read.
        ArtifactError: what was noted cannot be read.
    """
    if not member.contents:
        return
    view = view_name(embedding, member.version)
    contents = Contents.loads(member.contents, of=f"{view} in the Feast registry")
    held = look(member, contents)
    if held is not None:
        of = f"{embedding} version {member.version}: source {member.source.name!r}"
        check_held(contents, held, of=of, view=view)
