"""The one rule over random histories, through the public surface; see `tests.checker`."""

from __future__ import annotations

import pytest

from tests.checker.histories import history
from tests.checker.replay import replay


@pytest.mark.parametrize("chunk", range(8))
def test_random_histories(chunk: int, redis_address: str) -> None:
    """`make check-rule` runs many more."""
    for seed in range(5 * chunk, 5 * chunk + 5):
        outcome = replay(history(seed, 20), redis_address if seed % 2 else None)
        if outcome.error is not None:
            pytest.fail(
                f"Shorten it: python -m tests.checker --histories 1 --seed {seed}\n"
                f"{outcome.error!r}"
            )
