"""What is wrong with a version's vectors as a whole is said before anything is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result

from tests.support.presence import there
from tests.support.team import Team


@pytest.fixture
def team(tmp_path: Path) -> Team:
    team = Team(tmp_path)
    assert team.publish(0).exit_code == 0
    return team


def publish_changed(team: Team, *options: str, **columns: Any) -> Result:
    """Version 1 with some of its columns replaced."""
    path = team.folder / "v1.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)
    return team.publish(1, *options)


def refused(team: Team, result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert len(team.catalog.versions("users")) == 1
    assert isinstance(result.exception, SystemExit)  # no traceback
    return result.stderr


def test_other_join_keys_than_the_older_versions(team: Team) -> None:
    result = publish_changed(team, "--join-key", "customer_id", customer_id=range(200))
    message = refused(team, result)
    assert "expected the join keys of the older versions, user_id; found customer_id" in message
    assert "Leave --join-key out" in message


def test_another_key_type_than_the_older_versions(team: Team) -> None:
    message = refused(team, publish_changed(team, user_id=[str(user) for user in range(200)]))
    assert "users version 1: join key 'user_id' is text in its source; expected int" in message
    assert "as in the source of version 0" in message
    narrow = publish_changed(team, user_id=pd.Series(range(200), dtype="int32"))
    assert narrow.exit_code == 0, narrow.output


def test_a_key_type_that_no_older_version_tells(team: Team) -> None:
    (team.folder / "v0.parquet").unlink()
    result = publish_changed(
        team, "--force", "unmeasured", user_id=[str(user) for user in range(200)]
    )
    assert result.exit_code == 0, result.output


def test_float_keys(team: Team) -> None:
    message = refused(team, publish_changed(team, user_id=[float(user) for user in range(200)]))
    assert "join key 'user_id' has Arrow type double; expected integers or text" in message
    assert "astype('int64')" in message


def test_vectors_of_the_future(team: Team) -> None:
    later = pd.Timestamp("2099-01-01", tz="UTC")
    stamps = [later if user < 3 else pd.Timestamp("2026-01-01", tz="UTC") for user in range(200)]
    result = publish_changed(team, event_timestamp=stamps)
    assert result.exit_code == 3, result.output
    message = result.stderr
    assert "newest vectors of 3 of 200 entities lie in the future, up to 2099-01-01" in message
    assert "correct the event timestamps" in message
    assert "--force future-vectors" in message
    assert team.publish(1, "--force", "future-vectors").exit_code == 0
    (event,) = team.catalog.version("users", 1).events
    assert (event.forced, there(event.gate)["waived"]) == (True, ["future-vectors"])
    team.run("withdraw", "users", "1")
    today = pd.Timestamp.now(tz="UTC").ceil("D")  # a job's end of the day
    result = publish_changed(team, event_timestamp=today)
    assert result.exit_code == 0, result.output


def test_a_catalog_that_cannot_be_made_is_told_before_vectors_are_read(team: Team) -> None:
    (team.folder / "link").symlink_to(team.folder / "nowhere" / "else")
    result = team.run(
        *("publish", "users", "0", "--vectors", "no-such-file", "--join-key", "user_id"),
        *("--catalog", str(team.folder / "link")),
    )
    assert result.exit_code == 1
    assert f"Cannot create the catalog {team.folder}/link: FileExistsError" in result.stderr
    assert "Check that it is a folder, or can become one" in result.stderr
    assert "no-such-file" not in result.stderr
