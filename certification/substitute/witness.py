"""The provider, and which tests it was made in."""

from __future__ import annotations

import os
from pathlib import Path

from feast import RepoConfig

from feast_bc import BackwardCompatibleProvider

WITNESS = "CERTIFICATION_WITNESS"
"""The environment variable that names the file to write to."""


class WitnessedProvider(BackwardCompatibleProvider):
    """Notes the test in which it is made.

    A test's servers and commands inherit the name of the test from pytest.
    """

    def __init__(self, config: RepoConfig) -> None:
        super().__init__(config)
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        if test:
            with Path(os.environ[WITNESS]).open("a") as file:
                file.write(f"{test}\n")
