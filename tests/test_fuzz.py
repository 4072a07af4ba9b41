"""Hostile input for everything that is stored, and that the fuzzer would see what it looks for."""

from __future__ import annotations

import time

import pytest

from feast_bc.errors import ArtifactError
from tests.fuzz import __main__ as fuzz
from tests.fuzz.mutations import change_bytes
from tests.fuzz.targets import Target


def test_any_input_is_read_or_refused() -> None:
    assert fuzz.main(["--inputs", "20000"]) == 0


def _another_error(data: bytes) -> None:
    if data != b"seed":
        raise KeyError("field")


def _refused(data: bytes) -> None:
    if data != b"seed":
        raise ArtifactError("no")


def _slow(data: bytes) -> None:
    began = time.process_time()
    while data != b"seed" and time.process_time() - began < 0.02:
        pass


@pytest.mark.parametrize(("read", "failed"), [(_another_error, 10), (_refused, 0), (_slow, 10)])
def test_what_counts_as_a_failure(
    read: object, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.01)

    def change(data: bytes, rng: object) -> bytes:
        return b"changed"

    target = Target([b"seed"], [change], read)  # type: ignore[arg-type]
    assert fuzz.fuzz("target", target, 10, seed=0) == failed


def test_a_seed_that_is_not_read_is_told() -> None:
    with pytest.raises(KeyError):
        fuzz.fuzz("target", Target([b"other"], [change_bytes], _another_error), 1, seed=0)
