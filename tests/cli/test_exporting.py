"""`feast-bc export`: the values of a version view, and what changed of them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from feast_bc.offline.export import METADATA, Export
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER
from tests.support.team import DIMS, LINKS, START, Team

BEFORE, AFTER = "2026-01-15T00:00:00+00:00", "2026-02-15T00:00:00+00:00"


@pytest.fixture
def repo(team: Team) -> str:
    """The feature repo of a team whose versions 1 and 2 serve from START on."""
    return str(team.apply())


def values(path: Path) -> dict[int, Any]:
    table = pq.read_table(path)
    return dict(zip(table["user_id"].to_pylist(), table["embedding"].to_pylist(), strict=True))


def native(team: Team, version: int) -> np.ndarray:
    frame = pd.read_parquet(team.folder / f"v{version}.parquet")
    return np.stack(list(frame["embedding"]))


def served(team: Team) -> np.ndarray:
    """Version 0's values from version 2."""
    found: np.ndarray = LINKS[1].apply(LINKS[2].apply(native(team, 2)))
    return found


def append(team: Team, version: int, computed: str, vectors: dict[int, Any]) -> None:
    path = team.folder / f"v{version}.parquet"
    rows = pd.DataFrame(
        {
            "user_id": list(vectors),
            "event_timestamp": pd.Timestamp(computed),
            "embedding": list(vectors.values()),
        }
    )
    pd.concat([pd.read_parquet(path), rows]).to_parquet(path)


def test_all_values_as_of_an_instant(repo: str, team: Team, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    for instant, expected in ((BEFORE, native(team, 0)), (AFTER, served(team))):
        arguments = ("--repo", repo, "--out", str(out), "--at", instant)
        told, code = team.json("export", "users_v0", *arguments)
        assert (code, told["rows"], told["complete"], told["dim"]) == (0, 200, True, DIMS[0])
        found = values(out)
        assert sorted(found) == list(range(200))
        np.testing.assert_allclose([found[i] for i in range(200)], expected, rtol=1e-4, atol=1e-4)
        assert told == {
            **Export.of_file(out).as_json(),
            "rows": 200,
            "without_value": 0,
            "file": str(out),
            "next": told["next"],
        }
    assert list(tmp_path.glob("*.part")) == []


def test_what_changed(repo: str, team: Team, tmp_path: Path) -> None:
    first, out = str(tmp_path / "first.parquet"), tmp_path / "changes.parquet"
    team.run("export", "users_v0", "--repo", repo, "--out", first, "--at", AFTER)
    new, later = np.ones(DIMS[2], np.float32), "2026-03-01T00:00:00+00:00"
    append(team, 2, "2026-02-20T00:00:00+00:00", {7: new, 500: new})
    append(team, 0, "2026-02-20T00:00:00+00:00", {8: np.ones(DIMS[0])})  # version 2 still wins
    append(team, 2, "2026-02-21T00:00:00+00:00", {9: None})
    append(team, 1, "2026-02-21T00:00:00+00:00", {9: None})
    append(team, 0, "2026-02-21T00:00:00+00:00", {9: None})
    expected = LINKS[1].apply(LINKS[2].apply(new[None]))[0]
    for since in (first, AFTER):
        result = team.run(
            *("export", "users_v0", "--repo", repo, "--out", str(out)),
            *("--since", since, "--at", later),
        )
        assert result.exit_code == 0, result.output
        assert "2 new values of users_v0 and 1 entities that have none any more" in result.stdout
        found = values(out)
        assert sorted(found) == [7, 9, 500]
        assert found[9] is None
        for user in (7, 500):
            np.testing.assert_allclose(found[user], expected, rtol=1e-4)
        told = Export.of_file(out)
        assert (told.complete, told.since) == (False, datetime.fromisoformat(AFTER))
    # A chain of changes: the next one is asked for after this one.
    again = team.run(
        *("export", "users_v0", "--repo", repo, "--out", str(out)),
        *("--since", str(out), "--at", "2026-03-02T00:00:00+00:00"),
    )
    assert "0 new values" in again.stdout


def test_a_cut_over_changes_everything(repo: str, team: Team, tmp_path: Path) -> None:
    first, out = tmp_path / "first.parquet", tmp_path / "changes.parquet"
    team.run("export", "users_v0", "--repo", repo, "--out", str(first), "--at", BEFORE)
    for since in (str(first), BEFORE):
        told, _ = team.json(
            *("export", "users_v0", "--repo", repo, "--out", str(out)),
            *("--since", since, "--at", AFTER),
        )
        assert (told["rows"], told["complete"]) == (200, False)
        np.testing.assert_allclose(values(out)[3], served(team)[3], rtol=1e-4, atol=1e-4)


def test_another_plan_makes_it_complete(repo: str, team: Team, tmp_path: Path) -> None:
    """A rollback to before the earlier export is no news by any row's timestamp."""
    first, out = tmp_path / "first.parquet", tmp_path / "changes.parquet"
    team.run("export", "users_v0", "--repo", repo, "--out", str(first), "--at", AFTER)
    team.run("rollback", "users", "--version", "2", "--at", START)
    embedding = VersionedEmbedding.from_catalog(team.catalog, "users", entities=[USER])
    FeatureStore(repo).apply([USER, *embedding.feature_views().values()])
    result = team.run(
        *("export", "users_v0", "--repo", repo, "--out", str(out)),
        *("--since", str(first), "--at", AFTER),
    )
    assert "plan is another one than the earlier export's; all 200 values" in result.stdout
    np.testing.assert_allclose(
        values(out)[3], LINKS[1].apply(native(team, 1))[3], rtol=1e-4, atol=1e-4
    )


def test_an_arrow_stream_on_stdout(repo: str, team: Team) -> None:
    result = subprocess.run(
        [
            *(sys.executable, "-m", "feast_bc.cli.commands", "export", "users_v1"),
            *("--repo", repo, "--out", "-", "--at", AFTER),
        ],
        capture_output=True,
        check=True,
        env={**os.environ, "FEAST_BC_CATALOG": team.catalog.root},
    )
    table = pa.ipc.open_stream(result.stdout).read_all()
    assert len(table) == 200
    assert Export.loads(table.schema.metadata[METADATA], of="stdout").view == "users_v1"
    assert b"all 200 values of users_v1" in result.stderr


def test_what_cannot_be_exported(repo: str, team: Team, tmp_path: Path) -> None:
    other, plain = tmp_path / "other.parquet", team.folder / "v0.parquet"
    team.run("export", "users_v1", "--repo", repo, "--out", str(other), "--at", AFTER)
    out = ("--repo", repo, "--out", str(tmp_path / "x.parquet"))
    for arguments, code, words in (
        (("users_v9", *out), 1, "expected one of users_v0, users_v1, users_v2"),
        (("users_v0", *out, "--since", str(other)), 1, "is of 'users_v1', and 'users_v0'"),
        (("users_v0", *out, "--since", str(plain)), 1, "expected the note of a feast-bc export"),
        (("users_v0", *out, "--since", "yesterday"), 2, "found neither"),
        (("users_v0", *out, "--since", AFTER, "--at", BEFORE), 1, "nothing can have changed"),
        (("users_v0", "--repo", str(tmp_path), "--out", "x"), 1, "Name the folder of a feature"),
        (("users_v0", "--repo", repo, "--out", "-", "--json"), 2, "both write to stdout"),
        (("users_v0", "--repo", repo, "--out", str(tmp_path / "no" / "x")), 1, "cannot be written"),
    ):
        result = team.run("export", *arguments)
        assert (result.exit_code, words in result.output) == (code, True), result.output
    assert not (tmp_path / "x.parquet").exists()
