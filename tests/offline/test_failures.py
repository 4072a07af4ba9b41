"""What an engine's error says of a worker's failure."""

from __future__ import annotations

import pytest

from feast_bc.errors import DimensionError, FeastBCError, ProviderError
from feast_bc.offline.failures import own_error, own_errors

RAISED = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "vectors.py", line 1, in to_matrix
feast_bc.errors.DimensionError: expected 3

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "native_matrix.py", line 2, in native_matrix
feast_bc.errors.DimensionError: expected 3 The first is of user_id=1.

\tat org.apache.spark.api.python.BasePythonRunner"""
MISSING = "ModuleNotFoundError: No module named 'feast_bc.offline'"


def test_the_last_error_that_was_raised() -> None:
    error = own_error(RuntimeError(RAISED))
    assert type(error) is DimensionError
    assert str(error) == "expected 3 The first is of user_id=1."


def test_a_missing_package() -> None:
    error = own_error(RuntimeError(f"pickle.loads\n{MISSING}\n"))
    assert type(error) is ProviderError
    assert "'feast_bc.offline'" in str(error)


@pytest.mark.parametrize("text", ["Job aborted", "feast_bc.errors.Unheard: of"])
def test_nothing_of_its_own(text: str) -> None:
    failed = RuntimeError(text)
    assert own_error(failed) is None
    with pytest.raises(RuntimeError) as caught, own_errors():
        raise failed
    assert caught.value is failed


def test_an_error_of_the_driver_passes() -> None:
    failed = DimensionError("expected 3")
    with pytest.raises(FeastBCError) as caught, own_errors():
        raise failed
    assert caught.value is failed
