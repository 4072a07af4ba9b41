"""Run an area of Feast's suite, with stock Feast or with this package's provider."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certification.areas import Area
from certification.environment import ROOT
from certification.outcomes import Outcome, read_outcomes

SUBSTITUTE = ROOT / "certification" / "substitute"
TIMEOUT = 900
"""Seconds of a test: some start dozens of commands one after the other."""


class SuiteError(RuntimeError):
    """Feast's suite could not be run to its end."""


@dataclass(frozen=True)
class Suite:
    """Feast's tests in a folder of their own, away from the checkout's own `feast` package.

    Attributes:
        python: of the environment that has Feast and its pytest.
        folder: holds `tests`, and what the runs write.
        redis: the address of a Redis that the tests may write to.
    """

    python: Path
    folder: Path
    redis: str

    @classmethod
    def copied(cls, checkout: Path, python: Path, folder: Path, redis: str) -> Suite:
        """Copy the tests of a checkout.

        Raises:
            SuiteError: there are none at that path.
        """
        source = checkout / "sdk" / "python"
        if not (source / "tests" / "universal").is_dir():
            raise SuiteError(
                f"{checkout}: expected a checkout of Feast's repository, with its universal suite "
                "in sdk/python/tests/universal; found none. Give the checkout's root."
            )
        shutil.rmtree(folder / "tests", ignore_errors=True)
        shutil.copytree(source / "tests", folder / "tests")
        shutil.copy(source / "pytest.ini", folder)
        return cls(python, folder, redis)

    def run(self, area: Area, *, ours: bool) -> tuple[Mapping[str, Outcome], int]:
        """Run an area once.

        Returns:
            the outcome of each test, and how many tests made our provider.

        Raises:
            SuiteError: pytest itself failed; the log is named.
        """
        name = f"{area.name.replace(', ', '-').replace(' ', '-')}-{'ours' if ours else 'stock'}"
        junit, log, witness = (self.folder / f"{name}.{end}" for end in ("xml", "log", "witness"))
        for old in (junit, witness):
            old.unlink(missing_ok=True)
        with log.open("w") as output:
            pytest = subprocess.Popen(
                [self.python, *self._arguments(area, junit)],
                cwd=self.folder,
                env=self._environment(area, witness, ours=ours),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                ended = pytest.wait()
            finally:
                # Feast's tests leave the servers that they start.
                with suppress(ProcessLookupError):
                    os.killpg(pytest.pid, signal.SIGKILL)
        # 1: some tests failed.
        if ended not in (0, 1):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise SuiteError(f"{area.name}: pytest ended with {ended}; {log}:\n{tail}")
        made = set(witness.read_text().splitlines()) if witness.exists() else set()
        return read_outcomes(junit), len(made)

    def _arguments(self, area: Area, junit: Path) -> list[str]:
        ignored = [f"--ignore={path}" for path in area.left_out]
        # Where a test hangs, Feast's own setting ends the whole run without a report.
        settings = ["--timeout", str(TIMEOUT), "--timeout-method", "signal"]
        settings += ["-p", "no:cacheprovider", "--override-ini", "addopts=--strict-markers"]
        return [
            *("-m", "pytest", "-q", "--tb=short", f"--junitxml={junit}", *settings, *ignored),
            *(["--integration"] if area.integration else []),
            *(["-k", area.but] if area.but else []),
            *area.paths,
        ]

    def _environment(self, area: Area, witness: Path, *, ours: bool) -> dict[str, str]:
        # Feast's package of tests has the name of ours, so its folder goes first.
        paths = [self.folder, *([SUBSTITUTE] if ours else []), ROOT]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            # Some tests start servers by the name of the command.
            "PATH": os.pathsep.join([str(self.python.parent), os.environ["PATH"]]),
            "PYSPARK_PYTHON": str(self.python),
            # Without containers and cloud accounts.
            "FEAST_IS_LOCAL_TEST": "True",
            "FULL_REPO_CONFIGS_MODULE": "certification.stores",
            "CERTIFICATION_OFFLINE_STORE": area.offline,
            "CERTIFICATION_ONLINE_STORE": area.online,
            "CERTIFICATION_REDIS": self.redis,
            "CERTIFICATION_WITNESS": str(witness),
        }
