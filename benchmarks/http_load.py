"""Many clients against `feast serve`."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Latency

_PATH = "/get-online-features"
_HEADERS = {"Content-Type": "application/json"}


@contextmanager
def serve(repo: Path) -> Iterator[int]:
    """Run `feast serve` over a repo; yields its port once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--host", "127.0.0.1"]
    log = repo / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--no-access-log"],
            cwd=repo,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(480):
            if server.poll() is not None:
                raise RuntimeError(f"feast serve ended:\n{log.read_text()}")
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as probe:
                    probe.request("GET", "/health")
                    if probe.getresponse().status == 200:
                        break
            except OSError:
                pass
            time.sleep(0.25)
        else:
            raise RuntimeError(f"feast serve does not answer:\n{log.read_text()}")
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


@dataclass(frozen=True)
class Load:
    """Clients that ask one after the other, each over a connection of its own.

    Attributes:
        clients: how many.
        requests: how many each of them sends.
        view: asked for its `embedding`.
        batch: entities in a request.
        entities: ids are drawn below this.
    """

    clients: int
    requests: int
    view: str
    batch: int
    entities: int

    def run(self, port: int) -> tuple[float, Latency]:
        """Requests per second of all clients together, and the latency of a request."""
        seconds: list[list[float]] = [[] for _ in range(self.clients)]
        failures: list[str] = []

        def client(number: int) -> None:
            rng = np.random.default_rng(number)
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
                for _ in range(self.requests):
                    ids = rng.integers(0, self.entities, self.batch).tolist()
                    body = {"features": [f"{self.view}:embedding"], "entities": {"user_id": ids}}
                    began = time.perf_counter()
                    connection.request("POST", _PATH, json.dumps(body), _HEADERS)
                    answer = connection.getresponse()
                    content = answer.read()
                    seconds[number].append(time.perf_counter() - began)
                    if answer.status != 200 or b"NOT_FOUND" in content:
                        failures.append(f"{answer.status} {content[:200]!r}")
                        return

        threads = [threading.Thread(target=client, args=(n,)) for n in range(self.clients)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = time.perf_counter() - began
        if failures:
            raise RuntimeError(f"feast serve answered {failures[0]}")
        return self.clients * self.requests / spent, Latency.of(np.concatenate(seconds))
