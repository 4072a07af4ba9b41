"""Feast's servers, as the real `feast` command starts them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests


@contextmanager
def running(
    folder: Path, environment: Mapping[str, str], *arguments: str, health: str | None = None
) -> Iterator[str]:
    """A `feast` server on a free port.

    Args:
        folder: the feature repo, in which it is started.
        environment: its variables.
        arguments: of the `feast` command.
        health: the path that tells an HTTP server's health; None for one of gRPC.

    Yields:
        `127.0.0.1:port`, once it answers there.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = folder / f"{arguments[0]}.log"
    command = [str(Path(sys.executable).with_name("feast")), *arguments]
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", port],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(480):
            if _answers(int(port), health):
                break
            assert server.poll() is None, log.read_text()
            time.sleep(0.25)
        else:
            pytest.fail(log.read_text())
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answers(port: int, health: str | None) -> bool:
    try:
        if health is not None:
            return requests.get(f"http://127.0.0.1:{port}{health}", timeout=5).ok
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:  # requests' errors are some, too
        return False
    return True
