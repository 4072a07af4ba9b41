"""Signing what is published, and asking for signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options, open_catalog

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Command = TypeVar("Command", bound=Callable[..., Any])
_KEY_FILE = click.Path(exists=True, dir_okay=False)


def sign_option(command: Command) -> Command:
    """Give a command `--sign`."""
    return click.option(
        "--sign",
        "key",
        type=_KEY_FILE,
        metavar="KEY",
        help="Sign it: an Ed25519 private key in PEM.",
    )(command)


def signature_option(command: Command) -> Command:
    """Give a command `--require-signature`."""
    return click.option(
        "--require-signature",
        "trusted",
        type=_KEY_FILE,
        multiple=True,
        envvar="FEAST_BC_REQUIRE_SIGNATURE",
        show_envvar=True,
        metavar="PUB",
        help="Refuse versions that none of these public keys signed; repeatable.",
    )(command)


def public_keys(trusted: Sequence[str]) -> list[Ed25519PublicKey]:
    """The keys of `--require-signature`."""
    from feast_bc.catalog.signature import read_public_key

    return [read_public_key(path) for path in trusted]


class Signer:
    """Signs a version after its command, with a key that is read before.

    Args:
        key: the file of `--sign`; None signs nothing.
    """

    def __init__(self, key: str | None) -> None:
        from feast_bc.catalog.signature import read_private_key

        self._key = None if key is None else read_private_key(key)

    def sign(self, embedding: str, version: int) -> list[str]:
        """The signatures that are new, below the catalog's root."""
        if self._key is None:
            return []

        from feast_bc.catalog.signature import sign

        catalog = open_catalog()
        return sign(catalog.shelf(embedding), catalog.files, version, self._key)


@click.command()
@click.argument("embedding")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--key", type=_KEY_FILE, required=True, help="An Ed25519 private key in PEM.")
@common_options
def sign(embedding: str, version: int, key: str) -> None:
    """Sign a version that was published or relinked without a signature.

    A signature says that the key's owner stands for the version as it is now. Look at it first.
    Signing it again changes nothing.

    \b
    Example:
      openssl genpkey -algorithm ed25519 -out key.pem
      openssl pkey -in key.pem -pubout -out key.pub
      feast-bc sign user_embedding 2 --key key.pem
      feast-bc activate user_embedding 2 --require-signature key.pub
    """
    new = Signer(key).sign(embedding, version)
    done = f"Signed {embedding} version {version}: {', '.join(new)}."
    already = f"{embedding} version {version} was signed with this key already; nothing changed."
    output.result(
        {"signed": new, "changed": bool(new)},
        done if new else already,
        next_=f"feast-bc verify {embedding} --require-signature PUB",
    )
