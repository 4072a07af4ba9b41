"""Which parquet files a Feast file source stands for, and all of them as one dataset.

As Feast's DuckDB store takes them: a path is a file, a glob, or a folder with everything named
`*.parquet` below it. Folders named `column=value` are hive partitions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import and_
from typing import TypeAlias
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from feast.infra.offline_stores.file_source import FileSource
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem as LocalFiles
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

_GLOB = re.compile(r"[*?\[]")
_ANY_PARQUET = "**/*.parquet"
_TOKEN = re.compile(r"\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
_PARTITION = re.compile(r"([^=]+)=([^=]+)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # text or null, depending on DuckDB's release
_INTEGER, _DATE = re.compile(r"0|[1-9]\d{0,17}"), re.compile(r"\d{4}-\d\d-\d\d")

FileState: TypeAlias = tuple[int, int]
"""A file's size in bytes, and when it was modified, in nanoseconds since the epoch."""


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files that are read one after the other, always in the same order.

    Attributes:
        dataset: the files in order; hive partitions are columns.
        partitions: the names of these columns.
        unclear: names that folders give, where it is not certain what DuckDB makes of them.
        by_duckdb: whether the files were found as DuckDB finds them.
        states: per file what it was when it was found.
    """

    dataset: pads.FileSystemDataset
    partitions: frozenset[str] = frozenset()
    unclear: frozenset[str] = frozenset()
    by_duckdb: bool = True
    states: list[FileState] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", self._states())

    def unchanged(self) -> bool:
        """Whether every file still has the size and the modification time it was found with."""
        return self._states() == self.states

    def as_duckdb(self, columns: Sequence[str]) -> bool:
        """Whether DuckDB reads the same from some columns: it casts every file to the first."""
        if not self.by_duckdb or {name.lower() for name in self.unclear} & {
            name.lower() for name in columns
        }:
            return False
        own = [name for name in columns if name not in self.partitions]
        if {name.lower() for name in own} & {name.lower() for name in self.partitions}:
            return False  # DuckDB takes them for one name
        first = None
        for fragment in self.dataset.get_fragments():
            schema = fragment.physical_schema
            if any(len(schema.get_all_field_indices(name)) != 1 for name in own):
                return False
            types = [schema.field(name).type for name in own]
            if types != (first or types):
                return False
            first = types
        return True

    def _states(self) -> list[FileState]:
        return states_of(self.dataset.filesystem, self.dataset.files)


def states_of(filesystem: FileSystem, paths: Sequence[str]) -> list[FileState]:
    """What some files are now."""
    infos = filesystem.get_file_info(list(paths))
    return [(info.size or 0, info.mtime_ns or 0) for info in infos]


def find_parquet(source: FileSource, repo: str | os.PathLike[str] | None) -> ParquetFiles:
    """The files of a source, local or on S3; on other storage a single file or a plain folder.

    Args:
        source: parquet files. A relative path is taken from `repo`.
        repo: the feature repo's folder.

    Raises:
        Exception: whatever the file system raises where nothing can be read.
    """
    path = FileSource.get_uri_for_file_path(repo, source.path)
    paths: list[str] = []
    if path.startswith("s3://"):
        filesystem, path = FileSource.create_filesystem_and_path(
            path, source.s3_endpoint_override, source.resolve_credentials()
        )
        paths = _remote_files(filesystem, path.rstrip("/"))
    else:
        filesystem, path = url_to_fs(path)
        if isinstance(filesystem, LocalFiles):
            filesystem, paths = LocalFileSystem(), _local_files(path)
    if not paths:
        # Not what DuckDB would find; a folder of files without the suffix is parquet to others.
        dataset = pads.dataset(path, filesystem=filesystem, format="parquet")
        return ParquetFiles(dataset, by_duckdb=False)
    return _one_after_the_other(filesystem, paths)


def _local_files(path: str) -> list[str]:
    if not _GLOB.search(path) and os.path.isfile(path):
        return [path]  # a connection takes longer than reading a footer
    if os.path.isdir(path):
        path = os.path.join(path, _ANY_PARQUET)
    with duckdb.connect() as connection:
        found = connection.execute("SELECT file FROM glob($path)", {"path": path}).fetchall()
    return sorted(file for (file,) in found)


def _remote_files(filesystem: FileSystem, path: str) -> list[str]:
    if not _GLOB.search(path):
        if filesystem.get_file_info(path).type == FileType.File:
            return [path]
        path = f"{path}/{_ANY_PARQUET}"
    parts = path.split("/")
    fixed = next(i for i, part in enumerate(parts) if _GLOB.search(part))
    selector = FileSelector("/".join(parts[:fixed]), allow_not_found=True, recursive=True)
    wanted = re.compile("/".join(map(_pattern, parts)).replace("**/", "(?:[^/]+/)*"))
    infos = filesystem.get_file_info(selector)
    return sorted(i.path for i in infos if i.type == FileType.File and wanted.fullmatch(i.path))


def _pattern(part: str) -> str:
    """A regular expression for one part of a glob; `**`, any number of folders, stays."""
    return part if part == "**" else "".join(map(_token, _TOKEN.findall(part)))


def _token(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    inner = piece[1:-1].replace("\\", "\\\\")
    return f"[^{inner[1:]}]" if inner[0] == "!" else f"[{inner}]"


def _one_after_the_other(filesystem: FileSystem, paths: Sequence[str]) -> ParquetFiles:
    parquet = pads.ParquetFileFormat()
    schema = parquet.make_fragment(paths[0], filesystem).physical_schema.remove_metadata()
    named = [_folder_values(path) for path in paths]
    known, unclear = _partitions(named)
    for name, column in known.items():
        place = schema.get_field_index(name)
        here = pa.field(name, column.type)
        schema = schema.append(here) if place < 0 else schema.set(place, here)
    values = [
        [pc.equal(pc.field(name), column[i]) for name, column in known.items()]
        for i in range(len(paths))
    ]
    dataset = pads.FileSystemDataset.from_paths(
        list(paths),
        schema=schema,
        format=parquet,
        filesystem=filesystem,
        partitions=[reduce(and_, each, pc.scalar(True)) for each in values],
    )
    return ParquetFiles(dataset, frozenset(known), unclear)


def _folder_values(path: str) -> dict[str, str | None]:
    """What a file's folders say, `column=value`; None for what DuckDB may take otherwise."""
    values: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, equals, _ = folder.partition("=")
        if equals:
            found = _PARTITION.fullmatch(folder)
            clear = found and name not in values and found[2] != _NO_VALUE
            values[name] = unquote(found[2]) if found and clear else None
    return values


def _partitions(
    named: Sequence[Mapping[str, str | None]],
) -> tuple[dict[str, pa.Array], frozenset[str]]:
    """Per hive partition its value in each file, and the names of which nothing is certain.

    DuckDB knows partitions only where all files have the same ones.
    """
    names = frozenset(name for values in named for name in values)
    lowered = {name.lower() for name in names}
    if len(lowered) < len(names) or any(
        values.keys() != names or None in values.values() for values in named
    ):
        return {}, names
    known = {name: _typed([values[name] or "" for values in named]) for name in sorted(names)}
    clear = {name: column for name, column in known.items() if column is not None}
    return clear, names - clear.keys()


def _typed(values: Sequence[str]) -> pa.Array | None:
    """Partition values in the type that DuckDB finds for them; None if that is not certain."""
    text = pa.array(values, pa.string())
    if all(map(_INTEGER.fullmatch, values)):
        return text.cast(pa.int64())
    castable = map(partial(_castable, values), ("DATE", "TIMESTAMP", "BIGINT"))
    as_date, *others = castable
    if as_date and all(map(_DATE.fullmatch, values)):
        return text.cast(pa.date32())
    return None if as_date or any(others) else text


def _castable(values: Sequence[str], kind: str) -> bool:
    query = f"SELECT bool_and(try_cast(v AS {kind}) IS NOT NULL) FROM unnest($values) AS t(v)"  # noqa: S608
    with duckdb.connect() as connection:
        (answer,) = connection.execute(query, {"values": list(values)}).fetchone() or (True,)
    return bool(answer)
