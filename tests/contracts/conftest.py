"""A consumer team, beside an embedding team that publishes once for all tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.consumer_team import ConsumerTeam, consumer_team
from tests.support.team import Team


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team that has published three versions."""
    team = Team(tmp_path_factory.mktemp("published"))
    team.publish_all()
    return team


@pytest.fixture
def consumers(published: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConsumerTeam:
    """A consumer team that has no contract yet."""
    return consumer_team(published, tmp_path, monkeypatch)
