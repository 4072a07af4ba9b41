"""Errors of feast-bc that were raised in an engine's workers, raised again in the driver."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from feast_bc import errors
from feast_bc.errors import FeastBCError, ProviderError

# Lines of a Python traceback, which engines hand on as text. The last error was raised last.
_RAISED = re.compile(r"^\s*feast_bc\.errors\.(\w+): (.*)$", re.MULTILINE)
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn an engine's error for a failed worker into an error of feast-bc, where it means one."""
    try:
        yield
    except FeastBCError:
        raise
    except Exception as failed:
        error = own_error(failed)
        if error is None:
            raise
        raise error from failed


def own_error(failed: Exception) -> FeastBCError | None:
    """What an engine's error for a failed worker means; None where it has no meaning of its own.

    Args:
        failed: what the engine raised in the driver.

    Returns:
        The error of feast-bc that the worker raised, or one that names a package that it lacks.
    """
    text = str(failed)
    for kind, message in reversed(_RAISED.findall(text)):
        cls = getattr(errors, kind, None)
        if cls is not None:
            error: FeastBCError = cls(message.strip())
            return error
    if missing := _MISSING.search(text):
        return ProviderError(
            f"The workers cannot import {missing.group(1)!r}. Expected there the Python and the "
            f"packages of the driver ({sys.executable}): feast-bc with the extras of its stores. "
            "Install it on every worker; for Spark, set PYSPARK_PYTHON to the Python that has it."
        )
    return None
