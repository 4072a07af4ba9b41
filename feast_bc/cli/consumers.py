"""The consumers that a feature repo's registry names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from feast import FeatureStore

from feast_bc.cli import output
from feast_bc.cli.repo_source import load_config
from feast_bc.errors import CatalogError


def consumers(repo: Path) -> Mapping[str, list[str]]:
    """Per view the feature services that use it, sorted; views without any are left out.

    Raises:
        CatalogError: the folder is no feature repo.
    """
    load_config(repo)  # says clearly what is wrong with it
    found: dict[str, list[str]] = {}
    for service in FeatureStore(repo_path=str(repo.resolve())).list_feature_services():
        for view in {projection.name for projection in service.feature_view_projections}:
            found.setdefault(view, []).append(service.name)
    return {view: sorted(names) for view, names in found.items()}


def ask_consumers(repo: Path, view: str) -> None:
    """Ask whether a view may go that feature services use; where nobody can be asked, refuse.

    Raises:
        CatalogError: it may not go.
    """
    services = consumers(repo).get(view)
    if not services:
        return
    used = f"{view} is used by the feature service(s) {', '.join(services)}"
    if output.as_json() or not click.confirm(f"{used}. Retire it all the same?", err=True):
        raise CatalogError(
            f"{used}; nothing was changed. Move them to another version first, or pass --yes."
        )
