"""Feast's stores, extended to version views, by names that feature_store.yaml can give.

`feast serve_offline` makes its offline store from the configuration, past the provider, and so
does every process under another provider. There the store itself may be named:

    offline_store:
      type: feast_bc.stores.DuckDBOfflineStore  # Feast's own class name
    online_store:
      type: feast_bc.stores.RedisOnlineStore

All other settings of the store stay as they are. Feast finds a store's configuration beside it, as
the name with `Config` behind it. Classes are made when they are asked for: a store's driver may
not be installed.
"""

from __future__ import annotations

from typing import Any

from feast.importer import import_class
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import OFFLINE_STORE_CLASS_FOR_TYPE, ONLINE_STORE_CLASS_FOR_TYPE
from pydantic import BaseModel, create_model

from feast_bc.feast_internals import REMOTE, REMOTE_OFFLINE
from feast_bc.offline.store import backward_compatible
from feast_bc.online.store import on_read_capable

_CONFIG = "Config"
_PATHS = {
    path.rpartition(".")[2]: path
    for paths in (OFFLINE_STORE_CLASS_FOR_TYPE, ONLINE_STORE_CLASS_FOR_TYPE)
    for path in reversed(paths.values())
    if path.rpartition(".")[2] not in (REMOTE, REMOTE_OFFLINE)
}
"""Feast's stores by the names of their classes, which had older paths; no clients of servers."""


def __getattr__(name: str) -> Any:
    path = _PATHS.get(name.removesuffix(_CONFIG))
    if path is None:
        raise AttributeError(f"module {__name__!r} has no store {name!r}")
    module = path.rpartition(".")[0]
    made = _config(module, name) if name.endswith(_CONFIG) else _store(module, name)
    globals()[name] = made
    return made


def _store(module: str, name: str) -> type[OfflineStore] | type[OnlineStore]:
    stock = import_class(module, name)
    return backward_compatible(stock) if issubclass(stock, OfflineStore) else on_read_capable(stock)


def _config(module: str, name: str) -> type[BaseModel]:
    """Feast's configuration of a store, with our name for its type."""
    ours = f"{__name__}.{name.removesuffix(_CONFIG)}"
    return create_model(
        name, __base__=import_class(module, name), __module__=__name__, type=(str, ours)
    )
