"""Checking a catalog: every manifest, digest, parent, link and event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import PUBLISH, RELINK, Event
from feast_bc.catalog.event_log import EventLog, History
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.manifest import Manifest, StoredTransform, manifest_path, version_path
from feast_bc.catalog.published_version import since_last_withdrawn
from feast_bc.catalog.shelf import (
    begins_named,
    read_contract_file,
    read_manifest,
    read_shelf,
    stored_manifest,
    version_folders,
)
from feast_bc.catalog.signature import check_signed, signed_path
from feast_bc.catalog.state import State
from feast_bc.errors import ArtifactError, ChainGapError, FeastBCError
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import MANIFEST_FILE, digest, loads
from feast_bc.transforms.location import MAX_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_UNREADABLE = "0" * 64
"""Stands for the digest of a manifest that is missing."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        subject: what it is, e.g. "user_embedding version 2: transformation".
        problem: what is wrong with it; None if nothing is.
        note: what is worth knowing and no damage.
    """

    subject: str
    problem: str | None = None
    note: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


def check_embedding(
    files: CatalogFiles, embedding: str, signed_by: Sequence[Ed25519PublicKey] = ()
) -> list[Check]:
    """Check one embedding; damage becomes a problem, never an exception.

    Args:
        files: the catalog's files.
        embedding: its name.
        signed_by: the keys of whom one has to have signed each version, if any are given.
    """
    return _Inspection(files, embedding, signed_by).run()


@dataclass
class _Inspection:
    files: CatalogFiles
    embedding: str
    signed_by: Sequence[Ed25519PublicKey]
    checks: list[Check] = field(default_factory=list)

    def run(self) -> list[Check]:
        history = self._check("event log", EventLog(self.files, self.embedding).read)
        events = () if history is None else history.events
        start = self._start(history or History())
        state = start
        for number, event in enumerate(events, start=1):
            try:
                state = state.after(event)
            except FeastBCError as error:
                self._problem("event log", f"event {number}: {error}")
                break
        parent: str | None = None
        steps: list[BackwardTransform] = []
        for k, sha256 in enumerate(state.manifests):
            manifest = self._manifest(k, sha256, parent, start)
            parent = None if sha256 == _UNREADABLE else sha256
            if manifest is None or not k:
                continue
            step = self._transform(manifest, manifest.transform, "transformation")
            mine = (e for e in since_last_withdrawn(events, k) if e.version == k)
            relinks = [event.transform for event in mine if event.event == RELINK]
            for number, entry in enumerate(relinks, start=1):
                step = self._transform(manifest, entry, f"transformation of relink {number}")
            steps = [step, *steps] if step else steps
        newest = len(state.manifests) - 1
        for k, contracts in state.contracts.items():
            for contract in contracts:
                what = f"version {k}: contract of {contract.consumer}"
                self._check(what, partial(self._contract, k, contract))
        if newest > 0:
            self._check("chain", lambda: self._chain(steps, newest))
        if self.signed_by:
            self._signatures(newest)
        self._left_over(events, state)
        return self.checks

    def _check(self, what: str, look: Callable[[], Found]) -> Found | None:
        """Note whether `look` finds damage; what it found otherwise."""
        try:
            found = look()
        except FileNotFoundError:
            self._problem(what, "the file is missing; restore it from a backup.")
        except FeastBCError as error:
            self._problem(what, str(error))
        else:
            self.checks.append(Check(f"{self.embedding}: {what}"))
            return found
        return None

    def _problem(self, what: str, problem: str) -> None:
        """Note damage, of something that may have seemed sound so far."""
        subject = f"{self.embedding}: {what}"
        self.checks = [check for check in self.checks if check.subject != subject]
        self.checks.append(Check(subject, problem))

    def _start(self, history: History) -> State:
        """The versions that no event published; a manifest may be missing below the newest."""
        digests: dict[int, str] = {}
        for k in version_folders(self.files, self.embedding):
            if not begins_named(history, k):
                path = version_path(self.embedding, k, MANIFEST_FILE)
                if MANIFEST_FILE in self.files.list(path.rpartition("/")[0]):
                    digests[k] = digest(self.files.read(path))
        newest = max(digests, default=-1)
        return State(manifests=tuple(digests.get(k, _UNREADABLE) for k in range(newest + 1)))

    def _manifest(
        self, version: int, sha256: str, parent: str | None, start: State
    ) -> Manifest | None:
        """Check a manifest, and that it names the one before it."""

        def look() -> Manifest:
            path = stored_manifest(self.embedding, version, sha256, start)
            uri = self.files.uri(path)
            if sha256 == _UNREADABLE:
                raise FileNotFoundError
            manifest = Manifest.loads(read_manifest(self.files, path, sha256), of=uri)
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
            return manifest

        return self._check(f"version {version}: manifest", look)

    def _transform(
        self, manifest: Manifest, entry: StoredTransform | None, what: str
    ) -> BackwardTransform | None:
        def look() -> BackwardTransform:
            if entry is None:
                raise ChainGapError(f"version {manifest.version} names no transformation.")
            path = version_path(self.embedding, manifest.version, entry.file)
            uri = self.files.uri(path)
            found = loads(self.files.read(path, MAX_BYTES), sha256=entry.sha256, of=uri)
            promised = (entry.from_version, entry.to_version, entry.from_dim, entry.to_dim)
            held = (found.from_version, found.to_version, found.from_dim, found.to_dim)
            if promised != held or found.kind != entry.kind or found.from_dim != manifest.dim:
                raise ArtifactError(f"{uri}: the catalog promises {entry}, the file is {found!r}.")
            return found

        return self._check(f"version {manifest.version}: {what}", look)

    def _chain(self, steps: list[BackwardTransform], newest: int) -> None:
        if not steps:
            raise ChainGapError(f"no transformation {newest} -> 0 can be composed.")
        chain = compose(steps)
        if (chain.from_version, chain.to_version) != (newest, 0):
            raise ChainGapError(f"expected a chain {newest} -> 0, only {chain!r} can be composed.")

    def _signatures(self, newest: int) -> None:
        """Check that a trusted key signed every version."""
        for k in range(newest + 1):

            def look(version: int = k) -> None:
                shelf = read_shelf(self.files, self.embedding)
                check_signed(shelf, self.files, version, self.signed_by)

            self._check(f"version {k}: signature", look)

    def _contract(self, version: int, contract: Contract) -> None:
        for file in contract.files:
            read_contract_file(self.files, self.embedding, version, file)

    def _left_over(self, events: Sequence[Event], state: State) -> None:
        """Name the files that nothing refers to."""
        known = {
            version_path(self.embedding, k, file.file)
            for k, contracts in state.contracts.items()
            for contract in contracts
            for file in contract.files
        }
        for k in version_folders(self.files, self.embedding):
            known.add(version_path(self.embedding, k, MANIFEST_FILE))
        for event in events:
            if event.event == PUBLISH and event.manifest:
                known.add(manifest_path(self.embedding, event.version, event.manifest))
            if event.transform is not None:
                known.add(version_path(self.embedding, event.version, event.transform.file))
        for path in list(known):
            with suppress(FileNotFoundError, FeastBCError):  # checked above
                manifest = Manifest.loads(self.files.read(path), of=path)
                if manifest.transform is not None:
                    known.add(path.rpartition("/")[0] + "/" + manifest.transform.file)
        left = []
        for k in version_folders(self.files, self.embedding):
            folder = f"{self.embedding}/v{k}"
            here = [f"{folder}/{name}" for name in self.files.list(folder)]
            left += [path for path in here if signed_path(path) not in known]
            left += [f"{folder}/{name}" for name in self.files.left_over(folder)]
        events_folder = f"{self.embedding}/events"
        left += [f"{events_folder}/{name}" for name in self.files.left_over(events_folder)]
        if left:
            note = (
                f"nothing refers to {', '.join(left)}. A command was killed there or is at work "
                "now, or a contract ended. Harmless; delete them when no command runs."
            )
            self.checks.append(Check(f"{self.embedding}: left over", note=note))
