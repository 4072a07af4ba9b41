"""A family whose versions are bound to the rows that were published, and what becomes of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast.repo_config import RepoConfig

from feast_bc.native.native_vectors import read_native_vectors
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER, Family, Row

USERS = list(range(40))
FAMILY = Family(
    dims=[4, 4],
    rows=[
        Row(version, user, version + 1, (version, user, user % 7, 1))
        for version in (0, 1)
        for user in USERS
    ],
    active={1: [(2, None)]},
)
"""Both versions have the same users, and vectors of the same dimension."""


def bound(embedding: VersionedEmbedding, config: RepoConfig) -> VersionedEmbedding:
    """The versions, with what their sources hold now noted as `publish` does it."""
    versions = [
        replace(
            member,
            contents=read_native_vectors(
                member.source, join_keys=["user_id"], config=config
            ).contents.dumps(),
        )
        for member in embedding.versions
    ]
    return VersionedEmbedding(embedding.name, versions=versions, entities=[USER])


def _rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


def _other_vectors(path: Path) -> None:
    table, others = pq.read_table(path), pq.read_table(path.with_name("v0.parquet"))
    pq.write_table(table.set_column(2, "embedding", others["embedding"]), path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _other_version(path: Path) -> None:
    path.write_bytes(path.with_name("v0.parquet").read_bytes())


def _as_text(table: pa.Table) -> pa.Table:
    return table.set_column(0, "user_id", table["user_id"].cast(pa.string()))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_rewritten(lambda table: table.slice(0, 0)), "it is empty, had 40 rows"),
    "shrunken": (_rewritten(lambda table: table.slice(0, 20)), "it has 20 rows, had 40"),
    "half-written": (_cut, "be read"),
    "other vectors": (_other_vectors, "16 of 16 sampled rows have other vectors"),
    "another version": (
        _other_version,
        "its newest event timestamp is 2026-01-01T01:00:00.* was 2026-01-01T02:00:00",
    ),
    "missing": (lambda path: path.unlink(), "be read"),
    "text keys": (_rewritten(_as_text), "its join keys are text, were integers"),
}
"""Per fault what does it to the file `v1.parquet`, and what is said about it."""
