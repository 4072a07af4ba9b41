"""An S3 server of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.request import Request, urlopen

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "publisher",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server with the bucket `embeddings`."""
    # One request at a time: a conditional write is one step in S3, and two in moto.
    with make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.port}"
        urlopen(Request(f"{url}/embeddings", method="PUT")).close()  # noqa: S310
        yield url
        server.shutdown()
        thread.join()
