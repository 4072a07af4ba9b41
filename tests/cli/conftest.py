"""The team whose commands are tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.team import Team


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A team that has published nothing yet."""
    return Team(tmp_path)
