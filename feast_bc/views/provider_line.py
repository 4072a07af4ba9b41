"""The provider that feature_store.yaml has to name, and what is refused under another one."""

from __future__ import annotations

from collections.abc import KeysView
from typing import NoReturn

from feast.importer import import_class
from feast.repo_config import RepoConfig

from feast_bc.errors import ProviderError
from feast_bc.feast_internals import is_a

PROVIDER = "feast_bc.BackwardCompatibleProvider"


def serves_version_views(provider: str) -> bool:
    """Whether a provider, as feature_store.yaml names it, is ours or is made from it."""
    module, _, name = provider.rpartition(".")
    return bool(module) and is_a(import_class(module, name), PROVIDER.rpartition(".")[2])


def check_provider(config: RepoConfig, view: str, embedding: str) -> None:
    """Refuse what only our provider does rightly: to apply, and to write.

    Raises:
        ProviderError: feature_store.yaml names another provider.
    """
    if not serves_version_views(config.provider):
        raise ProviderError(
            f"Feature view {view!r} belongs to the versioned embedding {embedding!r}, but "
            f"feature_store.yaml says `provider: {config.provider}`. Set `provider: {PROVIDER}` "
            "there and run it again."
        )


class UnwritableColumns(dict[str, str]):
    """The field mapping of a version view: it maps nothing, and rows cannot be written by it.

    A provider that is not ours would write pushed rows under the view they were pushed to, over
    what newer versions serve there, and tell nobody. Nothing of ours runs in its process but the
    data source. The one thing that Feast asks it then, and at no other time, is what a row's
    timestamp column is to be called.

    Args:
        view: the version view's name.
        timestamp_field: the column that all rows have and no view's schema.
    """

    def __init__(self, view: str, timestamp_field: str) -> None:
        super().__init__()
        self._view = view
        self._timestamp_field = timestamp_field

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        return {self._timestamp_field: ""}.keys()

    def __missing__(self, column: str) -> NoReturn:
        raise ProviderError(
            f"Rows of the version view {self._view!r} cannot be written by this process: its "
            f"provider would not bring them to the other versions' views. Set `provider: "
            f"{PROVIDER}` in feature_store.yaml, or push to a feature server that has it."
        )
