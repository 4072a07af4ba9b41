"""What a command has done to the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from feast_bc.catalog.published_version import PublishedVersion


@dataclass(frozen=True)
class CatalogChange:
    """A version after a command, which may be run again without harm.

    Attributes:
        published: the version as the catalog has it now.
        changed: False where the catalog had it so already, and nothing was written.
    """

    published: PublishedVersion
    changed: bool
