"""Errors of whatever reads a source, told as the source's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feast_bc.errors import FeastBCError, InvalidVectorsError


@contextmanager
def reading(of: str) -> Iterator[None]:
    """While a source is read.

    Args:
        of: what it is.

    Raises:
        InvalidVectorsError: the source cannot be read.
    """
    try:
        yield
    except FeastBCError:
        raise
    except Exception as error:  # stores raise whatever their driver raises
        raise InvalidVectorsError(
            f"{of} cannot be read ({type(error).__name__}: {error}). Check that it exists, that it "
            "is readable from here, and its format."
        ) from error
