"""Which contracts may be waived."""

from __future__ import annotations

from collections.abc import Collection

from feast_bc.catalog.shelf import Shelf
from feast_bc.contracts.judgement import PREFIX
from feast_bc.contracts.runs import contracts_below
from feast_bc.errors import CatalogError


def check_waivers(shelf: Shelf, version: int, force: Collection[str]) -> None:
    """Refuse to waive a contract that is not there: the name may be mistyped.

    Raises:
        CatalogError: no older version has a contract of that consumer.
    """
    known = sorted({contract.consumer for _, contract in contracts_below(shelf, version)})
    for name in force:
        consumer = name.removeprefix(PREFIX)
        if consumer != name and consumer not in known:
            raise CatalogError(
                f"--force {name}: no consumer {consumer!r} has a contract on a version older than "
                f"{shelf.embedding} version {version}; there are contracts of "
                f"{', '.join(known) or 'nobody'}."
            )
