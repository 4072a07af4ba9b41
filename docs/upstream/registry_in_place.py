"""Read a file registry while another process writes it."""

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from feast import Entity, ValueType
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig
from google.protobuf.message import DecodeError

ENTITIES = 20_000
SECONDS = 10

with tempfile.TemporaryDirectory() as folder:
    store = FileRegistryStore(RegistryConfig(path="registry.db"), Path(folder))
    registry = Registry()
    one = Entity(name="driver_id", value_type=ValueType.INT64).to_proto()
    registry.entities.extend([one] * ENTITIES)
    store.update_registry_proto(registry)
    child = os.fork()
    while not child:
        store.update_registry_proto(registry)
    seen = Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            found = len(store.get_registry_proto().entities)
            seen["whole" if found == ENTITIES else "too few entities, no error"] += 1
        except DecodeError:
            seen["DecodeError"] += 1
    print(f"reads of a registry of {ENTITIES} entities:", dict(seen))
    path = Path(folder) / "registry.db"
    while path.stat().st_size:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    size = path.stat().st_size
    print(f"after the writer was killed: {size} of {registry.ByteSize()} bytes")
