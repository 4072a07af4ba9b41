"""Read while `feast materialize` runs, and after it was killed."""

import os
import signal
import tempfile
import time
from datetime import timedelta

from feast import FeatureStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from small_repo import NOON, small_repo


def read(folder: str) -> str:
    """What a server that starts now answers."""
    features, rows = ["stats:rate"], [{"driver_id": 1}]
    try:
        return str(FeatureStore(folder).get_online_features(features, rows).to_dict()["rate"])
    except ValueError as error:
        return f"ValueError: {error}"


def slow_materialize(store: FeatureStore) -> None:
    """As with a large source: its writing takes a minute."""
    SqliteOnlineStore.online_write_batch = lambda *_, **__: time.sleep(60)
    store.materialize(NOON, NOON + timedelta(days=1))


for serve in (False, True):
    with tempfile.TemporaryDirectory() as folder:
        registry = {"path": "registry.db", "serve_features_while_materializing": serve}
        store = small_repo(folder, registry=registry)
        store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1))
        print("\nserve_features_while_materializing:", serve)
        print("materialized:", read(folder))
        child = os.fork()
        if not child:
            slow_materialize(store)
        time.sleep(10)
        print("\nwhile it is materialized again:", read(folder))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        time.sleep(5)
        print("after that run was killed:", read(folder))
        print("its state:", FeatureStore(folder).get_feature_view("stats").state.name)
        store = FeatureStore(folder)
        store.materialize(NOON, NOON + timedelta(days=1))
        print("\nafter the next whole run:", read(folder))
