"""Count the connections that `feast serve` drops while gunicorn recycles its workers.

Usage: python serve_recycling.py [further options of `feast serve` ...]
"""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float32, Int64
from feast.value_type import ValueType

PORT, CLIENTS, REQUESTS = 6599, 16, 400
BODY = json.dumps({"features": ["stats:rate"], "entities": {"driver_id": [1, 2]}})
HEADERS = {"Content-Type": "application/json"}
YAML = """
project: recycling
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store: {type: dask}
entity_key_serialization_version: 3
"""


def make_repo(folder: Path) -> None:
    (folder / "feature_store.yaml").write_text(YAML)
    now = datetime.now(timezone.utc)
    frame = pd.DataFrame({"driver_id": [1, 2], "rate": [0.5, 0.25], "ts": [now, now]})
    frame.to_parquet(folder / "rows.parquet")
    source = FileSource(path=str(folder / "rows.parquet"), timestamp_field="ts")
    driver = Entity(name="driver_id", value_type=ValueType.INT64)
    schema = [Field(name="driver_id", dtype=Int64), Field(name="rate", dtype=Float32)]
    view = FeatureView(name="stats", entities=[driver], schema=schema, source=source)
    store = FeatureStore(str(folder))
    store.apply([driver, view])
    with redirect_stdout(StringIO()):
        store.materialize(now - timedelta(days=1), now + timedelta(days=1))


def client(keep_alive: bool, outcomes: Counter) -> None:
    """Ask one request after the other; after an error, connect anew."""
    connection = None
    for _ in range(REQUESTS):
        connection = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        try:
            connection.request("POST", "/get-online-features", BODY, HEADERS)
            answer = connection.getresponse()
            answer.read()
            outcomes[str(answer.status)] += 1
        except OSError as error:
            outcomes[type(error).__name__] += 1
            connection.close()
            connection = None
            continue
        if not keep_alive:
            connection.close()
            connection = None


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_repo(Path(folder))
        command = [sys.executable, "-m", "feast.cli.cli", "serve", "--port", str(PORT)]
        with (Path(folder) / "log").open("w+") as log:
            options = ["--no-access-log", *sys.argv[1:]]
            server = subprocess.Popen([*command, *options], cwd=folder, stdout=log, stderr=log)
            try:
                while True:
                    time.sleep(0.5)
                    try:
                        probe = http.client.HTTPConnection("127.0.0.1", PORT)
                        probe.request("GET", "/health")
                        probe.getresponse()
                        break
                    except OSError:
                        if server.poll() is not None:
                            sys.exit((Path(folder) / "log").read_text())
                for keep_alive in (True, False):
                    outcomes = Counter()
                    threads = [
                        threading.Thread(target=client, args=(keep_alive, outcomes))
                        for _ in range(CLIENTS)
                    ]
                    [thread.start() for thread in threads]
                    [thread.join() for thread in threads]
                    print("kept alive:" if keep_alive else "a connection each:", dict(outcomes))
            finally:
                server.terminate()
                server.wait()
            log.seek(0)
            print("workers recycled:", log.read().count("Maximum request limit"))


main()
