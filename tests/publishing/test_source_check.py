"""Publishing again compares with what was published; measuring passes over what changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feast_bc.catalog.event import RECOUNT
from feast_bc.cli.repo_source import parquet_source
from feast_bc.errors import SourceChangedError
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.source_check import source_checks
from tests.support.catalogs import as_older_releases_wrote_it
from tests.support.team import Team


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def again(team: Team, version: int = 0, max_shrink: float | None = None) -> bool:
    """Whether publishing a version again changed anything."""
    path = str(team.folder / f"v{version}.parquet")
    return publish_version(
        team.catalog,
        "users",
        version,
        source=parquet_source(path, f"users_v{version}_vectors", "event_timestamp"),
        artifact=team.folder / f"b{version}" if version else None,
        join_keys=["user_id"],
        max_shrink=max_shrink,
    ).changed


def cut(team: Team, version: int, rows: int) -> None:
    path = team.folder / f"v{version}.parquet"
    pd.read_parquet(path).iloc[:rows].to_parquet(path)


def test_a_shrunken_source_is_refused_until_it_is_noted(team: Team) -> None:
    team.publish(0)
    assert not again(team)
    cut(team, 0, 150)
    with pytest.raises(SourceChangedError, match=r"it has 150 rows, had 200.*--allow-shrink"):
        again(team)
    with pytest.raises(SourceChangedError, match="it has 150 rows, had 200"):
        again(team, max_shrink=0.1)
    before = team.catalog.version("users", 0)
    assert again(team, max_shrink=0.3)
    noted = team.catalog.version("users", 0)
    assert (noted.sha256, noted.events[-1].event) == (before.sha256, RECOUNT)
    assert noted.contents is not None
    assert noted.contents.rows == 150
    assert not again(team)
    assert not again(team, max_shrink=0.3)


def test_rewritten_vectors_are_never_noted(team: Team) -> None:
    team.publish(0)
    team.write(0, np.ones((200, 3), np.float32))
    with pytest.raises(SourceChangedError, match=r"other vectors.*are the next version"):
        again(team, max_shrink=1)


def test_a_version_of_an_older_release_is_noted_when_it_is_published_again(team: Team) -> None:
    team.publish_all()
    as_older_releases_wrote_it(team.catalog, "users")
    (check,) = source_checks(team.catalog.published("users")[:1], None)
    assert check.ok
    assert "Publish the version again to note it" in str(check.note)
    assert again(team)
    (check,) = source_checks(team.catalog.published("users")[:1], None)
    assert check.ok
    assert check.note is None
    cut(team, 0, 20)
    (check,) = source_checks(team.catalog.published("users")[:1], None)
    assert "it has 20 rows, had 200" in str(check.problem)


def test_a_withdrawn_version_is_bound_no_more(team: Team) -> None:
    team.publish_all()
    team.run("withdraw", "users", "2")
    assert 2 not in team.catalog.shelf("users").state.contents
    cut(team, 2, 100)
    assert team.publish(2).exit_code == 0


def test_a_version_that_changed_is_not_measured_with(team: Team) -> None:
    """The gate knows nothing of it: a new version waits until it is repaired."""
    team.publish(0)
    team.publish(1)
    team.write(0, np.random.default_rng(7).normal(size=(200, 3)).astype(np.float32))
    refused = team.publish(2)
    assert refused.exit_code == 3
    assert "sampled rows have other vectors" in refused.output
