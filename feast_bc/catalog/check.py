"""Checking a catalog: every manifest, digest, parent, link and event."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from feast_bc.catalog.event_log import EventLog, fold
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.manifest import Manifest, version_path
from feast_bc.errors import ArtifactError, CatalogError, ChainGapError, FeastBCError
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import digest, loads


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        subject: what it is, e.g. "user_embedding version 2: transformation".
        problem: what is wrong with it; None if nothing is.
    """

    subject: str
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


def check_embedding(files: CatalogFiles, embedding: str) -> list[Check]:
    """Check one embedding; damage becomes a problem, never an exception."""
    return _Inspection(files, embedding).run()


@dataclass
class _Inspection:
    files: CatalogFiles
    embedding: str
    checks: list[Check] = field(default_factory=list)

    def run(self) -> list[Check]:
        names = self.files.list(self.embedding)
        matches = (re.fullmatch(r"v(0|[1-9]\d*)", name) for name in names)
        newest = max((int(match[1]) for match in matches if match), default=-1)
        # The newest folder without a manifest is an aborted publish, not damage.
        if newest >= 0 and not self._has_manifest(newest):
            newest -= 1
        parent: str | None = None
        steps: list[BackwardTransform] = []
        for k in range(newest + 1):
            manifest, parent = self._manifest(k, parent)
            step = self._transform(manifest) if manifest and k else None
            steps = [step, *steps] if step else steps
        if newest > 0:
            self._check("chain", lambda: self._chain(steps, newest))
        self._check("event log", lambda: self._events(newest))
        return self.checks

    def _check(self, what: str, look: Callable[[], None]) -> None:
        subject = f"{self.embedding}: {what}"
        try:
            look()
        except FileNotFoundError:
            self.checks.append(Check(subject, "the file is missing; restore it from a backup."))
        except FeastBCError as error:
            self.checks.append(Check(subject, str(error)))
        else:
            self.checks.append(Check(subject))

    def _has_manifest(self, version: int) -> bool:
        folder, _, name = version_path(self.embedding, version).rpartition("/")
        return name in self.files.list(folder)

    def _manifest(self, version: int, parent: str | None) -> tuple[Manifest | None, str | None]:
        """Check a manifest; return its content and the digest that version k+1 must name."""
        read: list[tuple[Manifest, str]] = []

        def look() -> None:
            path = version_path(self.embedding, version)
            data, uri = self.files.read(path), self.files.uri(path)
            manifest = Manifest.loads(data, of=uri)
            read.append((manifest, digest(data)))
            if (manifest.embedding, manifest.version) != (self.embedding, version):
                raise ArtifactError(
                    f"{uri}: expected {self.embedding} version {version}, found "
                    f"{manifest.embedding} version {manifest.version}. Restore the file."
                )
            if manifest.parent != parent:
                raise ArtifactError(
                    f"{uri}: expected parent {parent} (the sha256 of version {version - 1}'s "
                    f"manifest), found {manifest.parent}. One of the two was changed: restore it."
                )

        self._check(f"version {version}: manifest", look)
        return read[0] if read else (None, None)

    def _transform(self, manifest: Manifest) -> BackwardTransform | None:
        loaded: list[BackwardTransform] = []

        def look() -> None:
            entry = manifest.transform
            if entry is None:
                raise ChainGapError(f"version {manifest.version} names no transformation.")
            path = version_path(self.embedding, manifest.version, entry.file)
            uri = self.files.uri(path)
            found = loads(self.files.read(path), sha256=entry.sha256, of=uri)
            promised = (entry.from_version, entry.to_version, entry.from_dim, entry.to_dim)
            held = (found.from_version, found.to_version, found.from_dim, found.to_dim)
            if promised != held or found.kind != entry.kind or found.from_dim != manifest.dim:
                raise ArtifactError(f"{uri}: the manifest promises {entry}, the file is {found!r}.")
            loaded.append(found)

        self._check(f"version {manifest.version}: transformation", look)
        return loaded[0] if loaded else None

    def _chain(self, steps: list[BackwardTransform], newest: int) -> None:
        if not steps:
            raise ChainGapError(f"no transformation {newest} -> 0 can be composed.")
        chain = compose(steps)
        if (chain.from_version, chain.to_version) != (newest, 0):
            raise ChainGapError(f"expected a chain {newest} -> 0, only {chain!r} can be composed.")

    def _events(self, newest: int) -> None:
        events = EventLog(self.files, self.embedding).read()
        fold(events)
        for event in events:
            if not 0 <= event.version <= newest:
                raise CatalogError(
                    f"an event names version {event.version}, which is not published."
                )
