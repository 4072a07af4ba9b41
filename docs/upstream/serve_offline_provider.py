"""Which offline store a `feast serve_offline` asks, where a provider brings its own."""

import tempfile

from feast.infra.offline_stores.dask import DaskOfflineStore
from feast.infra.passthrough_provider import PassthroughProvider
from feast.offline_server import OfflineServer
from small_repo import small_repo


class GuardedStore(DaskOfflineStore):
    """Stands for a store that adds something: access rules, a cache, other rows."""


class GuardedProvider(PassthroughProvider):
    @property
    def offline_store(self) -> GuardedStore:
        return GuardedStore()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        store = small_repo(folder, provider="serve_offline_provider.GuardedProvider")
        server = OfflineServer(store, "grpc://127.0.0.1:0")
        print("get_historical_features:", type(store._get_provider().offline_store).__name__)
        print("feast serve_offline:    ", type(server.offline_store).__name__)
        server.shutdown()
