"""Errors of feast-bc that were raised in an engine's workers, raised again in the driver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from feast_bc import errors

# The last line of a Python traceback, which engines hand on as text.
_RAISED = re.compile(r"^\s*feast_bc\.errors\.(\w+): (.*)$", re.MULTILINE)


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn an engine's error for a failed worker into the error of feast-bc that was raised."""
    try:
        yield
    except errors.FeastBCError:
        raise
    except Exception as failed:
        found = _RAISED.search(str(failed))
        error = getattr(errors, found.group(1), None) if found else None
        if found is None or error is None:
            raise
        raise error(found.group(2).strip()) from failed
