"""The demo's Feast side: publish, activate, apply, materialize, and read as a consumer does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore

from feast_bc.cli.commands import main as feast_bc
from training.interactions.interactions import Instants
from training.tasks.consumer import Vectors

FEATURE_REPO = Path(__file__).parents[2] / "feature_repo"


@dataclass(frozen=True)
class Shop:
    """A copy of `feature_repo/` with a catalog and stores of its own.

    Attributes:
        folder: where it stands.
        log: takes what the commands print.
    """

    folder: Path
    log: Path

    @classmethod
    def create(cls, folder: Path, log: Path) -> Shop:
        """Copy the feature repo, without any data it may have."""
        shutil.copytree(FEATURE_REPO, folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
        (folder / "data").mkdir()
        log.write_text("")
        return cls(folder, log)

    def publish(
        self, embedding: str, version: int, vectors: Path, join_key: str, artifact: Path | None
    ) -> None:
        """`feast-bc publish`."""
        link = ["--transform", str(artifact)] if artifact else ["--join-key", join_key]
        self._feast_bc("publish", embedding, str(version), "--vectors", str(vectors), *link)

    def activate(self, embedding: str, version: int, instant: np.datetime64) -> None:
        """`feast-bc activate`, quality gate included."""
        self._feast_bc("activate", embedding, str(version), "--from", f"{instant}+00:00")

    def apply(self) -> None:
        """`feast apply`."""
        self._feast("apply")

    def materialize(self, start: np.datetime64, end: np.datetime64) -> None:
        """`feast materialize`: the newest vectors in `[start, end]`, as every version."""
        self._feast("materialize", str(start), str(end))

    def offline(self, view: str, users: pa.Array, instant: np.datetime64) -> Vectors:
        """A training set: the view's vectors of these users as of an instant, `(n, D)`."""
        asked = {"user_id": users.to_numpy(), "event_timestamp": _utc(instant, len(users))}
        store = FeatureStore(str(self.folder))
        job = store.get_historical_features(pd.DataFrame(asked), [f"{view}:embedding"])
        by_user = job.to_df().set_index("user_id")["embedding"]
        return np.stack(by_user.loc[users.to_pylist()].to_list()).astype(np.float32)

    def online(self, view: str, users: pa.Array) -> Vectors:
        """The view's vectors of these users, as they stand in the online store, `(n, D)`."""
        store = FeatureStore(str(self.folder))
        asked = {"user_id": users.to_pylist()}
        response = store.get_online_features([f"{view}:embedding"], asked)
        return np.array(response.to_dict()["embedding"], np.float32)

    def _feast_bc(self, *arguments: str) -> None:
        catalog = str(self.folder / "data" / "catalog")
        with self.log.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            print("\n$ feast-bc", *arguments)
            code = feast_bc([*arguments, "--catalog", catalog], standalone_mode=False)
        self._check("feast-bc", arguments, code)

    def _feast(self, *arguments: str) -> None:
        # A process of its own: Feast imports the definitions anew, as on a command line.
        with self.log.open("a") as log:
            print("\n$ feast", *arguments, file=log, flush=True)
            command = [sys.executable, "-m", "feast.cli.cli", *arguments]
            done = subprocess.run(command, cwd=self.folder, stdout=log, stderr=log)  # noqa: S603
        self._check("feast", arguments, done.returncode)

    def _check(self, program: str, arguments: Sequence[str], code: int | None) -> None:
        if code:
            call = " ".join([program, *arguments])
            raise RuntimeError(f"`{call}` failed with exit code {code}; see {self.log}.")


def _utc(instant: np.datetime64, count: int) -> pd.DatetimeIndex:
    instants: Instants = np.full(count, instant.astype("datetime64[us]"))
    index: pd.DatetimeIndex = pd.to_datetime(instants, utc=True)
    return index
