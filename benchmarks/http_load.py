"""Many clients against `feast serve`."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.harness import Latency

_PATH = "/get-online-features"
_HEADERS = {"Content-Type": "application/json"}


@contextmanager
def serve(repo: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Run `feast serve` over a repo; yields its port once it answers, and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--host", "127.0.0.1"]
    # By default the server starts afresh every thousand requests, and drops connections as it does.
    command += ["--max-requests", "0", *options]
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
        yield port, server.pid
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

        def client(number: int) -> list[float]:
            rng = np.random.default_rng(number)
            seconds = []
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
                for _ in range(self.requests):
                    ids = rng.integers(0, self.entities, self.batch).tolist()
                    body = {"features": [f"{self.view}:embedding"], "entities": {"user_id": ids}}
                    began = time.perf_counter()
                    connection.request("POST", _PATH, json.dumps(body), _HEADERS)
                    answer = connection.getresponse()
                    content = answer.read()
                    seconds.append(time.perf_counter() - began)
                    if answer.status != 200 or b"NOT_FOUND" in content:
                        raise RuntimeError(f"feast serve: {answer.status} {content[:200]!r}")
            return seconds

        with ThreadPoolExecutor(self.clients) as pool:
            began = time.perf_counter()
            seconds = list(pool.map(client, range(self.clients)))
            spent = time.perf_counter() - began
        return self.clients * self.requests / spent, Latency.of(list(chain.from_iterable(seconds)))
