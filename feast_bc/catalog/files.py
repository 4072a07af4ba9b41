"""Files of a catalog on any fsspec filesystem; every commit is one exclusive creation."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from feast_bc.errors import ArtifactError, CatalogError
from feast_bc.transforms.location import read

MAX_JSON = 2**24
"""The most bytes of a file that is no transformation."""

PROBE = ".feast-bc-exclusive"
"""Created in a root before the first write there, to see whether it can be created twice."""

_LOCAL = "that it is a folder, or can become one, which this process may read and write."

_REMOTE = (
    "the URI, the network, the driver's settings and credentials in this process's environment, "
    "and that the fsspec driver of its protocol is installed (s3fs for s3://, gcsfs for gs://, "
    "adlfs for abfs://)."
)

_probed: set[str] = set()
"""The roots that passed in this process."""


class CatalogFiles:
    """Read, create and list the files below one root.

    Paths are relative to the root, with "/" between their parts. Every method raises
    CatalogError where the filesystem cannot be reached or refuses the operation.

    Args:
        root: a local path (made absolute) or an fsspec URI such as `s3://bucket/embeddings`.

    Raises:
        CatalogError: no such filesystem, or one that is chained from several.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        if "::" in self.root:
            raise CatalogError(
                f"{self.root} chains filesystems: what the first one keeps here, other processes "
                f"do not see. Name the last one alone: {self.root.rpartition('::')[2]}."
            )
        with self._reaching("open"):
            self._fs, self._path = url_to_fs(self.root)
        self._local = isinstance(self._fs, LocalFileSystem)
        self.root = self._path if self._local else self.root.rstrip("/")

    def uri(self, path: str) -> str:
        """Where `path` stands, as `fsspec.open` takes it."""
        return f"{self.root}/{path}"

    def read(self, path: str, limit: int = MAX_JSON) -> bytes:
        """The whole file.

        Args:
            path: the file.
            limit: the most bytes it may have.

        Raises:
            FileNotFoundError: there is none.
            ArtifactError: it has more bytes, or is no regular file.
        """
        with self._reaching("read", FileNotFoundError, ArtifactError):
            try:
                return read(self.uri(path), limit)
            except FileNotFoundError:
                # s3fs asks its cached listing: somebody else may have created the file since.
                self._fs.invalidate_cache()
                return read(self.uri(path), limit)

    def list(self, folder: str = "") -> list[str]:
        """Names of the entries of a folder, sorted; none where the folder does not exist.

        What begins with a dot is no part of the catalog.
        """
        return [name for name in self._names(folder) if not name.startswith(".")]

    def left_over(self, folder: str) -> Sequence[str]:
        """Names of what writers that were killed left in a folder."""
        return [name for name in self._names(folder) if name.startswith(".")]

    def prepare(self) -> None:
        """See that something can be written, before anybody works for it."""
        if self._local:
            with self._reaching("create"):
                _make_folder(Path(self._path))
        self._check_exclusive()

    def put(self, path: str, data: bytes) -> None:
        """Write a file whose name follows from its content: again is harmless."""
        self._check_exclusive()
        with self._reaching("write"):
            if not self._local:
                self._fs.pipe_file(f"{self._path}/{path}", data)
                return
            with self._aside(path, data) as aside:
                os.replace(aside, f"{self._path}/{path}")

    def create(self, path: str, data: bytes) -> None:
        """Create a file, whole, or not at all if the name is taken: the commit of a change.

        Raises:
            FileExistsError: somebody else created it first.
        """
        self._check_exclusive()
        with self._reaching("write", FileExistsError):
            if not self._local:
                # Atomic where the filesystem has conditional writes, as object stores do.
                self._fs.pipe_file(f"{self._path}/{path}", data, mode="create")
                return
            with self._aside(path, data) as aside:
                os.link(aside, f"{self._path}/{path}")

    def _names(self, folder: str) -> Sequence[str]:
        path = f"{self._path}/{folder}".rstrip("/")
        with self._reaching("list"):
            self._fs.invalidate_cache()  # another process may have published meanwhile
            try:
                entries = self._fs.ls(path, detail=True)
            except FileNotFoundError:
                return []
            if any(e["name"].rstrip("/") == path and e["type"] == "file" for e in entries):
                raise NotADirectoryError(f"{path} is a file, not a folder")
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in entries)

    def _check_exclusive(self) -> None:
        """Raise CatalogError unless this filesystem refuses to create a file twice."""
        if self._local or self.root in _probed:
            return
        path = f"{self._path}/{PROBE}"
        with self._reaching("write"):
            with suppress(FileExistsError):
                self._fs.pipe_file(path, b"feast-bc\n", mode="create")
            try:
                self._fs.pipe_file(path, b"feast-bc\n", mode="create")
            except FileExistsError:
                _probed.add(self.root)
                return
        raise CatalogError(
            f"{type(self._fs).__name__} created {self.root}/{PROBE} twice: expected it to refuse "
            "the second time. On such a filesystem one of two publishers would overwrite the "
            "other. Use a local disk, S3 (s3fs), Google Cloud Storage (gcsfs) or Azure (adlfs)."
        )

    @contextmanager
    def _aside(self, path: str, data: bytes) -> Iterator[Path]:
        """The content in a file of its own; where it is linked to or moved lasts afterwards."""
        final = Path(self._path, path)
        _make_folder(final.parent)
        aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield aside
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
        _sync_folder(final.parent)

    @contextmanager
    def _reaching(self, verb: str, *answers: type[Exception]) -> Iterator[None]:
        try:
            yield
        except answers:
            raise
        except Exception as error:  # drivers raise whatever their SDK raises
            local = isinstance(getattr(self, "_fs", None), LocalFileSystem)
            raise CatalogError(
                f"Cannot {verb} the catalog {self.root}: {type(error).__name__}: {error}. Check "
                + (_LOCAL if local else _REMOTE)
            ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that a power failure cannot take them back."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network mounts cannot
            raise
    finally:
        os.close(place)
