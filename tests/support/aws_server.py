"""A server of this process that answers as S3 and DynamoDB do."""

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
def aws_server(*, threaded: bool = False) -> Iterator[str]:
    """The address of a server.

    Args:
        threaded: whether it answers several requests at a time. A conditional write is one step in
            S3, and two in moto.
    """
    app = DomainDispatcherApplication(create_backend_app)
    with make_server("127.0.0.1", 0, app, threaded=threaded) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server with the bucket `embeddings`, empty."""
    with aws_server() as url:
        # moto keeps what earlier servers of this process were given.
        urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # noqa: S310
        urlopen(Request(f"{url}/embeddings", method="PUT")).close()  # noqa: S310
        yield url
