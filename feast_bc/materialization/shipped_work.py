"""Work as plain data, and what a worker of a distributed engine does with it.

An engine brings rows to its workers as Arrow batches with the columns below. A worker rebuilds the
views from Feast's own protos and the provider from the configuration: no view or store is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.provider import Provider, get_provider
from feast.repo_config import RepoConfig

from feast_bc import errors
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.align import align, newest_rows
from feast_bc.columns.arrays import NEVER, Instants, Mask
from feast_bc.columns.entity_keys import key_types
from feast_bc.errors import MaterializationError
from feast_bc.materialization.bucket import Bucket
from feast_bc.materialization.target import Target
from feast_bc.materialization.work import Work
from feast_bc.native.vector_batches import VectorBatches, rewritten
from feast_bc.views.as_bytes import from_bytes, to_bytes
from feast_bc.views.changes import rows_at

VERSION, INSTANT, CREATED = "__version", "__instant", "__created"
HAS_VECTOR, VECTOR, NEEDED = "__has_vector", "__vector", "__needed"
UNCHANGED = "__unchanged"
"""Columns of native rows beside the join keys: the version's number; the row's two instants in
microseconds; whether its vector is not null; the vector, where it is needed and shipped;
whether any view may take its value from it; from when the entity's input is unchanged, in
microseconds, null where the row does not say.
"""

ENTITY_ONLY = -1
"""The version's number in a row that says only that an entity may have been written before."""

REPORT = pa.schema(
    [
        ("view", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("values", pa.int64()),
    ]
)
"""What a worker tells of a bucket: the number of values, and a row per failed view."""


@dataclass(frozen=True)
class ShippedWork:
    """Work as plain data.

    Attributes:
        config: the feature repo's configuration, as JSON.
        repo_path: the feature repo's folder.
        newest: the proto of the view that knows all versions.
        targets: per stored view its proto, and since when rows are news.
        until, horizon, reads_from: as in `Work`.
        served: the protos of those views.
    """

    config: str
    repo_path: str
    newest: bytes
    targets: tuple[tuple[bytes, int | None], ...]
    until: int
    horizon: int
    served: tuple[bytes, ...]
    reads_from: int

    @classmethod
    def of(cls, work: Work, config: RepoConfig) -> ShippedWork:
        return cls(
            config.model_dump_json(exclude={"repo_path"}, exclude_none=True, by_alias=True),
            str(config.repo_path or Path.cwd()),
            to_bytes(work.newest),
            tuple((to_bytes(target.view), target.since) for target in work.alive()),
            work.until,
            work.horizon,
            tuple(view.to_proto().SerializeToString() for view in work.served),
            work.reads_from,
        )

    def work(self) -> Work:
        """The work, with nothing failed yet."""
        targets = [Target(from_bytes(view), 0, since=since) for view, since in self.targets]
        return Work(
            from_bytes(self.newest),
            targets,
            self.until,
            self.horizon,
            served=list(map(from_bytes, self.served)),
            reads_from=self.reads_from,
        )


def decide(shipped: ShippedWork, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Tell which rows' vectors are needed to write some entities.

    No store is asked, so a worker that is started again decides the same. Whether a value is
    overdue only the states tell: a row that may be is counted as needed.

    Args:
        shipped: what to write.
        batches: all rows of some entities up to the horizon, with their keys, VERSION, INSTANT,
            CREATED, UNCHANGED and HAS_VECTOR.

    Yields:
        Each version's newest rows at the end of the window, with NEEDED.
    """
    found = list(batches)
    if not found:
        return
    table = pa.Table.from_batches(found)
    work = shipped.work()
    names = list(key_types(work.newest))
    counted = pc.less_equal(table[INSTANT], work.until)
    now = table.filter(counted)
    parts = {
        member.version: _newest(_of_version(now, member.version), names)
        for member in work.members()
    }
    _, places = align([part.select(names) for part in parts.values()])
    place = dict(zip(parts, places, strict=True))
    rows = {
        version: rows_at(
            place[version],
            part[INSTANT].to_numpy(),
            np.asarray(part[HAS_VECTOR]),
            _micros(part[UNCHANGED]),
        )
        for version, part in parts.items()
    }
    needed = {version: np.zeros(len(part), bool) for version, part in parts.items()}
    for target in work.alive():
        told = work.changes(target, rows)
        may = told.changed | (told.touched if target.plan.ttl is None else True)
        for version in (m.version for m in target.members(work.until)):
            needed[version][place[version][may & (told.winner == version)]] = True
    later = table.filter(pc.invert(counted))
    later = later.take(pa.array(newest_rows(later.select(names), later[INSTANT].to_numpy())))
    number = pa.array(np.full(len(later), ENTITY_ONLY, np.int32))
    place_of = later.schema.get_field_index(VERSION)
    parts[ENTITY_ONLY] = later.set_column(place_of, later.schema.field(VERSION), number)
    needed[ENTITY_ONLY] = np.zeros(len(parts[ENTITY_ONLY]), bool)
    for version, part in parts.items():
        yield from part.append_column(NEEDED, pa.array(needed[version])).to_batches()


def write(shipped: ShippedWork, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write the views of some entities.

    Args:
        shipped: what to write.
        batches: all rows of some entities, from `decide`, with a column VECTOR that is not looked
            at; and the needed ones once more, with their vectors, their NEEDED null.

    Yields:
        One batch of REPORT.
    """
    found = list(batches)
    if not found:
        return
    table = pa.Table.from_batches(found)
    work, provider = shipped.work(), _provider(shipped.config, shipped.repo_path)
    names = list(key_types(work.newest))
    shipped_rows = table[NEEDED].is_null()
    decided = table.filter(pc.invert(shipped_rows))
    vectors = table.filter(shipped_rows)
    natives = {
        member: ShippedRows(
            _of_version(decided, member.version),
            _of_version(vectors, member.version),
            join_keys=names,
            member=member,
        )
        for member in work.members()
    }
    later = _of_version(decided, ENTITY_ONLY).select(names)
    written = 0

    def progress(count: int) -> None:
        nonlocal written
        written += count

    bucket = Bucket.of_store(work, provider.online_store, provider.repo_config)
    bucket.write(natives, [later] if len(later) else [], lambda _: progress)
    failed = list(work.errors.items())
    rows = {
        "view": [None, *(view for view, _ in failed)],
        "error": [None, *(type(error).__name__ for _, error in failed)],
        "message": [None, *(str(error) for _, error in failed)],
        "values": [written, *(0 for _ in failed)],
    }
    yield pa.RecordBatch.from_pydict(rows, schema=REPORT)


def reported(kind: str, message: str) -> Exception:
    """The error that a worker reported."""
    found = getattr(errors, kind, MaterializationError)(message)
    assert isinstance(found, Exception)  # noqa: S101 - the names are those of feast_bc.errors
    return found


class ShippedRows:
    """One version's newest native rows in a bucket: `LatestRows`.

    Args:
        rows: the rows, from `decide`.
        vectors: rows with their vectors; all of those that are needed, and maybe more.
        join_keys: the key columns.
        member: the version.
    """

    def __init__(
        self,
        rows: pa.Table,
        vectors: pa.Table,
        *,
        join_keys: list[str],
        member: EmbeddingVersion,
    ) -> None:
        self.keys = rows.select(join_keys)
        self.instants: Instants = rows[INSTANT].to_numpy()
        self.has_vector: Mask = np.asarray(rows[HAS_VECTOR])
        self.unchanged: Instants | None = _micros(rows[UNCHANGED])
        self._of = f"source {member.source.name!r}"
        self._created = _micros(rows[CREATED])
        self._vectors = _newest(vectors, join_keys)
        _, (place, mine) = align([self.keys, self._vectors.select(join_keys)])
        self._place = np.full(len(rows), -1, np.int64)
        self._place[place[place >= 0]] = mine[place >= 0]

    def vectors(self, wanted: Mask, batch_rows: int) -> VectorBatches:
        """As `LatestRows.vectors`.

        Raises:
            InvalidVectorsError: the source has changed since it was decided what is needed.
        """
        rows = np.flatnonzero(wanted)
        for start in range(0, len(rows), batch_rows):
            part = rows[start : start + batch_rows]
            place = self._place[part]
            taken = None if (place < 0).any() else self._vectors.take(pa.array(place))
            if (
                taken is None
                or not np.array_equal(taken[INSTANT].to_numpy(), self.instants[part])
                or not np.array_equal(_micros(taken[CREATED]), self._created[part])
                or not np.asarray(taken[HAS_VECTOR]).all()
            ):
                raise rewritten(self._of)
            yield part, taken[VECTOR]


def _of_version(table: pa.Table, version: int) -> pa.Table:
    return table.filter(pc.equal(table[VERSION], version))


def _newest(rows: pa.Table, join_keys: list[str]) -> pa.Table:
    """The newest row of each entity; of equal ones one with a vector."""
    has_vector = np.asarray(rows[HAS_VECTOR]).astype(np.int64)
    keys, instants = rows.select(join_keys), rows[INSTANT].to_numpy()
    return rows.take(pa.array(newest_rows(keys, instants, _micros(rows[CREATED]), has_vector)))


def _micros(column: pa.ChunkedArray) -> Instants:
    found: Instants = pc.fill_null(column, NEVER).to_numpy()
    return found


@lru_cache(maxsize=4)
def _provider(config: str, repo_path: str) -> Provider:
    """The provider of a feature repo, made once per worker."""
    options = json.loads(config)
    return get_provider(RepoConfig(**options, repo_path=Path(repo_path)))
