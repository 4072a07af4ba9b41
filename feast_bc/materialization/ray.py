"""Materialization on Ray: its workers read, decide, transform and write; the driver sees counts.

Plain Ray tasks rather than a Ray dataset: vectors that win nothing then never leave their files,
and a task tells which rows it was given. Tasks are started again when a worker is lost, which is
harmless: each gives the same again, and a write of the same value changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import FeastBCError, MaterializationError
from feast_bc.materialization.ray_tasks import (
    SourceColumns,
    decide_bucket,
    fetch_rows,
    read_rows,
    write_bucket,
)
from feast_bc.materialization.shipped_work import ShippedWork, reported
from feast_bc.materialization.work import StartProgress, Work
from feast_bc.native.batch_source import parquet_files
from feast_bc.native.file_parts import FilePart, file_parts
from feast_bc.native.parquet_files import ParquetFiles, find_parquet
from feast_bc.native.reading import reading
from feast_bc.offline.failures import own_error
from feast_bc.online.stores import access
from feast_bc.views.source_check import Look

# A task's memory: so many rows at least are in a part of the files, and in a bucket.
_ROWS_AT_ONCE = 50_000
# What a task hands to one bucket. Ray sends tables of less than 100 KiB through the driver.
_ROWS_AT_LEAST = 4_096


@dataclass(frozen=True)
class _Part:
    """A part of a version's files, with a number among all parts."""

    number: int
    columns: SourceColumns
    rows: FilePart


class RayEngine:
    """Writes a family's views from Ray's workers.

    Args:
        store: the online store.
        config: the feature repo's configuration; its batch engine is Feast's for Ray, which has
            connected to Ray.
        look: looks at sources, from the driver.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig, look: Look) -> None:
        self._store = store
        self.look = look
        self._config = config
        self._options = dict(config.batch_engine.worker_task_options or {})

    def write(self, work: Work, start_progress: StartProgress) -> None:
        files = {}
        for member, users in work.members().items():
            try:
                source = parquet_files(member.source)
                assert source is not None  # noqa: S101 - or another engine would be asked
                with reading(f"source {source.name!r}"):
                    files[member] = find_parquet(source, self._config.repo_path)
            except Exception as error:  # file systems raise whatever they like
                work.fail(users, error)
        if not work.alive():
            return
        try:
            self._write(work, files, start_progress)
        except Exception as error:  # Ray raises whatever its workers raise
            work.fail([target.name for target in work.alive()], _told(error))

    def _write(
        self,
        work: Work,
        files: Mapping[EmbeddingVersion, ParquetFiles],
        start_progress: StartProgress,
    ) -> None:
        shipped = ray.put(ShippedWork.of(work, self._config))
        total = sum(found.dataset.count_rows() for found in files.values())
        at_once = max(_ROWS_AT_ONCE, math.isqrt(_ROWS_AT_LEAST * total))
        buckets = max(2, -(-total // at_once))
        parts = _parts(work, files, at_once)
        if not parts:
            start_progress(0)
            return
        read = self._task(read_rows, buckets)
        tables = [
            read.remote(part.columns, part.rows, part.number, work.horizon, buckets)
            for part in parts
        ]
        decide = self._task(decide_bucket, 3)
        decided, wanted, counted = zip(
            *(decide.remote(shipped, len(parts), *of_bucket) for of_bucket in _by_bucket(tables)),
            strict=True,
        )
        del tables
        needed = [sum(counts) for counts in zip(*ray.get(list(counted)), strict=True)]
        fetch = self._task(fetch_rows, buckets)
        vectors = [
            fetch.remote(group[0].columns, [(part.number, part.rows) for part in group], *wanted)
            for group in _groups(parts, needed, _ROWS_AT_LEAST * buckets)
        ]
        of_buckets = _by_bucket(vectors) or [()] * buckets
        del vectors
        written = 0
        for report in self._reports(
            [(shipped, mine, *native) for mine, native in zip(decided, of_buckets, strict=True)]
        ):
            for row in report.to_pylist():
                written += row["values"]
                if row["view"] is not None:
                    work.errors.setdefault(row["view"], reported(row["error"], row["message"]))
        start_progress(written)(written)

    def _task(self, function: Callable[..., Any], returns: int = 1) -> Any:
        return ray.remote(function).options(**{**self._options, "num_returns": returns})

    def _reports(self, buckets: list[tuple[Any, ...]]) -> list[pa.Table]:
        """Write the buckets, some at a time; none is being written any more at the end."""
        task = self._task(write_bucket)
        running: list[Any] = []
        reports: list[pa.Table] = []
        try:
            while buckets or running:
                while buckets and len(running) < self._writers():
                    running.append(task.remote(*buckets.pop()))
                done, running = ray.wait(running)
                reports += ray.get(done)
        finally:
            # What still runs would write by this plan into the next run's.
            for ref in running:
                ray.cancel(ref)
            if running:
                ray.wait(running, num_returns=len(running))
        return reports

    def _writers(self) -> int:
        """How many buckets are written at a time, each over a connection of its own."""
        if access(self._store).one_process:
            return 1
        engine = self._config.batch_engine
        configured = engine.write_concurrency or engine.max_workers
        return int(configured or ray.cluster_resources().get("CPU", 1))


def _parts(work: Work, files: Mapping[EmbeddingVersion, ParquetFiles], rows: int) -> list[_Part]:
    parts: list[_Part] = []
    for member, found in files.items():
        columns = SourceColumns.of_member(member, work.newest)
        for part in file_parts(found, rows, columns.of):
            parts.append(_Part(len(parts), columns, part))
    return parts


def _groups(parts: Sequence[_Part], needed: Sequence[int], rows: int) -> list[list[_Part]]:
    """The parts that one task reads vectors of, so that it finds much for each bucket.

    Args:
        parts: all parts.
        needed: how many rows of each are needed. A part without any is in no group.
        rows: how many needed rows a group has at least, if its version has so many.
    """
    groups: list[list[_Part]] = []
    held = 0
    for part in parts:
        if not needed[part.number]:
            continue
        if not groups or groups[-1][0].columns is not part.columns or held >= rows:
            groups.append([])
            held = 0
        groups[-1].append(part)
        held += needed[part.number]
    return groups


def _by_bucket(tables: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Per bucket the tables of all parts; given per part those of all buckets."""
    return list(zip(*tables, strict=True))


def _told(error: Exception) -> Exception:
    """The error of feast-bc that a worker raised, or one that says what Ray said."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, FeastBCError):
        return cause
    if (own := own_error(error)) is not None:
        return own
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = MaterializationError(
        f"Ray did not finish: {type(cause).__name__}: {lines[-1] if lines else error!r}. Values "
        "that were written before are valid and stay. Run the same command again; it writes what "
        "is missing."
    )
    found.__cause__ = error
    return found
