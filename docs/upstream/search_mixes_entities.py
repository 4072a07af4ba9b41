"""Search a stock store that finds documents in another order than that of their keys."""

import tempfile

from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from small_repo import NOON, small_repo

RATES = {2: 0.25, 1: 0.5}  # as the store has them; driver 2 is nearer


def found(*_args, **_options):
    """What a store returns: nearest first."""
    return [
        (
            NOON,
            EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=driver)]),
            {"rate": Value(float_val=rate), "distance": Value(float_val=rate)},
        )
        for driver, rate in RATES.items()
    ]


SqliteOnlineStore.retrieve_online_documents_v2 = found
with tempfile.TemporaryDirectory() as folder:
    answer = small_repo(folder).retrieve_online_documents_v2(
        features=["stats:rate"], query=[0.0], top_k=2
    )
    rows = answer.to_dict()
    print("the store found:", RATES)
    print("Feast answers:  ", dict(zip(rows["driver_id"], rows["rate"], strict=True)))
