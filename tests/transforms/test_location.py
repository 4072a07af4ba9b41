"""What a registry may make a consumer open."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from feast_bc.errors import ArtifactError
from feast_bc.transforms.artifact import TransformRef
from feast_bc.transforms.location import TRUSTED, check_location, read, tensor_file
from tests.support.links import affine, stored

SHA = "ab" * 32
NAME = tensor_file(SHA)


@pytest.fixture
def link(tmp_path: Path) -> TransformRef:
    return stored(affine(1, 4, 3), tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        f"/catalog/users/v1/{NAME}",
        f"s3://bucket/users/v1/{NAME}",
        f"memory://users/v1/{NAME}",
        f"relative/v1/{NAME}",
    ],
)
def test_what_a_catalog_names(uri: str) -> None:
    check_location(uri, version=1, sha256=SHA)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/dev/zero",
        "/etc/passwd",
        NAME,
        f"/catalog/users/v2/{NAME}",
        f"/catalog/users/v1/{NAME}.bak",
        f"/catalog/users/v1/{tensor_file('cd' * 32)}",
        f"/catalog/../users/v1/{NAME}",
        f"simplecache::s3://bucket/users/v1/{NAME}",
        f"/catalog\0/v1/{NAME}",
        f"http://host/users/v1/{NAME}",
        f"https://host/users/v1/{NAME}",
        f"ftp://host/users/v1/{NAME}",
        f"github://who:what@main/v1/{NAME}",
        f"zip://a/v1/{NAME}",
        f"anything://a/v1/{NAME}",
    ],
)
def test_what_no_catalog_names(uri: str) -> None:
    with pytest.raises(ArtifactError, match="is not read as a transformation"):
        check_location(uri, version=1, sha256=SHA)


def test_a_process_may_name_its_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED, "s3://ours/embeddings/, oss://others")
    check_location(f"s3://ours/embeddings/users/v1/{NAME}", version=1, sha256=SHA)
    check_location(f"oss://others/users/v1/{NAME}", version=1, sha256=SHA)
    for uri in (f"s3://ours/embeddings-of-them/users/v1/{NAME}", f"/users/v1/{NAME}"):
        with pytest.raises(ArtifactError, match=f"none of the catalogs in {TRUSTED}"):
            check_location(uri, version=1, sha256=SHA)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [_fifo, _device, _folder])
def test_only_regular_files_are_opened(link: TransformRef, make: Callable[[Path], None]) -> None:
    path = Path(link.uri)
    path.unlink()
    make(path)
    with pytest.raises(ArtifactError, match="it is no regular file"):
        link.load()


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read(str(path), limit=5) == b"12345"
    with pytest.raises(ArtifactError, match="more than 4 bytes"):
        read(str(path), limit=4)


def test_no_server_is_asked(link: TransformRef) -> None:
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        name = Path(link.uri).name
        uri = f"http://127.0.0.1:{server.server_port}/users/v1/{name}"
        with pytest.raises(ArtifactError, match="expected a protocol"):
            replace(link, uri=uri).load()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not asked
