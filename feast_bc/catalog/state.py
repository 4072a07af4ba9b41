"""What a history amounts to: which versions there are, and what may follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import (
    ACTIVATE,
    CONTRACT,
    END_CONTRACT,
    PUBLISH,
    RECOUNT,
    RELINK,
    RETIRE,
    UNRETIRE,
    WITHDRAW,
    Event,
)
from feast_bc.catalog.manifest import StoredTransform
from feast_bc.errors import CatalogError
from feast_bc.native.contents import Contents
from feast_bc.rule import Activation


@dataclass(frozen=True)
class State:
    """What a history amounts to.

    Attributes:
        manifests: hex sha256 of the manifest of each version 0, 1, ..., K.
        links: per relinked version the transformation that counts now.
        contents: per version what its source held, as it was noted last; none where it never was.
        activations: per version, its activations in the order they were recorded.
        retired: the versions whose view is no longer offered.
        contracts: per version what its consumers expect, at most one of each.
        released: the newest version that was active right after the last activation; None before
            the first. A rollback does not change it.
    """

    manifests: tuple[str, ...] = ()
    links: Mapping[int, StoredTransform] = field(default_factory=dict)
    contents: Mapping[int, Contents] = field(default_factory=dict)
    activations: Mapping[int, tuple[Activation, ...]] = field(default_factory=dict)
    retired: frozenset[int] = frozenset()
    contracts: Mapping[int, tuple[Contract, ...]] = field(default_factory=dict)
    released: int | None = None

    def open_activation(self, version: int) -> Activation | None:
        """The activation of `version` that was not rolled back, if there is one."""
        last = self.activations.get(version, ())[-1:]
        return last[0] if last and last[0].active_until is None else None

    def rolled_back(self, version: int) -> datetime | None:
        """The instant at which the last activation of `version` ended, if it has one and it did."""
        last = self.activations.get(version, ())[-1:]
        return last[0].active_until if last else None

    def is_activated(self, version: int, at: datetime | None) -> bool:
        """Whether `version` is active from `at`; None asks for an instant that has come."""
        open_one = self.open_activation(version)
        return open_one is not None and _is(open_one.active_from, at)

    def is_rolled_back(self, version: int, at: datetime | None) -> bool:
        """Whether `version` was rolled back at `at`; None asks for an instant that has come."""
        until = self.rolled_back(version)
        return until is not None and _is(until, at)

    def after(self, event: Event) -> State:
        """The state that `event` leads to.

        Raises:
            CatalogError: the event cannot follow this state; the message says why.
        """
        version = event.version
        if event.event == PUBLISH:
            return self._published(event)
        if version >= len(self.manifests):
            raise CatalogError(
                f"{event.event} of version {version}, which is not published: expected a version "
                f"below {len(self.manifests)}. If its manifest was lost, restore it from a backup."
            )
        if event.event == RETIRE:
            return replace(self, retired=self.retired | {version})
        if event.event == UNRETIRE:
            return replace(self, retired=self.retired - {version})
        if event.event == RELINK:
            link = event.transform
            if link is None or (link.from_version, link.to_version) != (version, version - 1):
                raise CatalogError(
                    f"relink of version {version} names no transformation {version} -> "
                    f"{version - 1}."
                )
            return replace(self, links={**self.links, version: link})
        if event.event == RECOUNT:
            return replace(self, contents=self._contents_after(event))
        if event.event == WITHDRAW:
            return self._withdrawn(event)
        if event.event in (CONTRACT, END_CONTRACT):
            return self._with_contracts(event)
        if event.at is None:
            raise CatalogError(f"{event.event} of version {version} names no instant.")
        if event.event == ACTIVATE:
            return self._activated(version, event.at)
        return self._ended(version, event.at)

    def _published(self, event: Event) -> State:
        version, newest = event.version, len(self.manifests) - 1
        if event.manifest is None or version != newest + 1:
            found = f"version {newest} is the newest" if self.manifests else "nothing is published"
            raise CatalogError(
                f"publish of version {version} with manifest {event.manifest}: expected version "
                f"{newest + 1} and the sha256 of a manifest; {found}."
            )
        return replace(
            self,
            manifests=(*self.manifests, event.manifest),
            contents=self._contents_after(event),
        )

    def _contents_after(self, event: Event) -> Mapping[int, Contents]:
        noted = {} if event.contents is None else {event.version: event.contents}
        return {**self.contents, **noted}

    def contract_of(self, version: int, consumer: str) -> Contract | None:
        """What a consumer expects of a version; None where it has no contract."""
        of_version = self.contracts.get(version, ())
        return next((each for each in of_version if each.consumer == consumer), None)

    def judged_by(self, version: int) -> object:
        """What decides whether `version` may be activated, to be compared."""
        links = {k: link for k, link in self.links.items() if k <= version}
        contracts = {j: held for j, held in self.contracts.items() if j < version}
        return self.manifests[: version + 1], links, contracts, self.retired

    def _with_contracts(self, event: Event) -> State:
        version, contract = event.version, event.contract
        if contract is None:
            raise CatalogError(f"{event.event} of version {version} names no contract.")
        if event.event == END_CONTRACT:
            if self.contract_of(version, contract.consumer) != contract:
                raise CatalogError(
                    f"version {version} has another contract of {contract.consumer} than the one "
                    "that ends, or none."
                )
            left = tuple(each for each in self.contracts[version] if each != contract)
        else:
            self.check_new_contract(version, contract)
            left = (*self.contracts.get(version, ()), contract)
        kept = {**self.contracts, version: left}
        return replace(self, contracts={k: held for k, held in kept.items() if held})

    def check_new_contract(self, version: int, contract: Contract) -> None:
        """Refuse a contract that cannot be added.

        Raises:
            CatalogError: the version is retired, or the consumer has another contract on it.
        """
        if self.contract_of(version, contract.consumer) is not None:
            raise CatalogError(
                f"version {version} has a contract of {contract.consumer} already, with other "
                "terms. Remove it first with `feast-bc contract remove`, so that the log tells "
                "both."
            )
        if version in self.retired:
            raise CatalogError(
                f"version {version} is retired: nobody reads its view, so nobody can expect "
                "anything of it. Run `feast-bc unretire` first."
            )

    def _withdrawn(self, event: Event) -> State:
        version, newest = event.version, len(self.manifests) - 1
        if version != newest:
            raise CatalogError(
                f"version {version} cannot be withdrawn: version {newest} stands on it. Correct "
                f"its transformation with `feast-bc relink`, or withdraw version {newest} first."
            )
        if version in self.activations:
            raise CatalogError(
                f"version {version} cannot be withdrawn: it was activated, so views may hold its "
                "vectors. Roll it back, correct its transformation with `feast-bc relink`, or "
                f"publish better vectors as version {version + 1}."
            )
        if event.manifest != self.manifests[version]:
            raise CatalogError(
                f"withdraw of version {version} names manifest {event.manifest}, but it is "
                f"{self.manifests[version]}."
            )
        return replace(
            self,
            manifests=self.manifests[:version],
            links={k: link for k, link in self.links.items() if k != version},
            contents={k: held for k, held in self.contents.items() if k != version},
            retired=self.retired - {version},
            contracts={k: held for k, held in self.contracts.items() if k != version},
        )

    def _activated(self, version: int, at: datetime) -> State:
        open_one = self.open_activation(version)
        if open_one:
            raise CatalogError(
                f"version {version} is active already, from "
                f"{open_one.active_from.isoformat()}. Roll it back before you activate it "
                "from another instant."
            )
        after = self._with(version, (*self.activations.get(version, ()), Activation(at)))
        active = (v for v in after.activations if after.open_activation(v))
        return replace(after, released=max(active))

    def _ended(self, version: int, at: datetime) -> State:
        open_one = self.open_activation(version)
        if open_one is None:
            until = self.rolled_back(version)
            if until is None:
                raise CatalogError(f"version {version} is not active: nothing to roll back.")
            raise CatalogError(
                f"version {version} was rolled back already, from {until.isoformat()} on. Activate "
                "it again before you roll it back at another instant."
            )
        if at < open_one.active_from:
            raise CatalogError(
                f"version {version} is active from {open_one.active_from.isoformat()}; a rollback "
                f"at {at.isoformat()} lies before that. Roll back at "
                f"{open_one.active_from.isoformat()} to undo the whole activation."
            )
        before = self.activations[version][:-1]
        return self._with(version, (*before, Activation(open_one.active_from, at)))

    def _with(self, version: int, activations: tuple[Activation, ...]) -> State:
        return replace(self, activations={**self.activations, version: activations})


def _is(instant: datetime, asked: datetime | None) -> bool:
    return instant <= datetime.now(timezone.utc) if asked is None else instant == asked


def fold(events: Iterable[Event], start: State) -> State:
    """The state after all `events`.

    Args:
        events: oldest first.
        start: before the first of them.

    Raises:
        CatalogError: an event cannot follow the others.
    """
    state = start
    for number, event in enumerate(events, start=1):
        try:
            state = state.after(event)
        except CatalogError as error:
            raise CatalogError(f"event {number}: {error}") from error
    return state
