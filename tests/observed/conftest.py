from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from feast import FeatureStore

from tests.support.team import Team


class Observed:
    """A team with three versions, of which version 2 was rolled back, and a page of them."""

    def __init__(self, folder: Path) -> None:
        self.team = Team(folder)
        self.repo = self.team.apply()
        start, end = (datetime(y, m, 1, tzinfo=timezone.utc) for y, m in ((2025, 12), (2026, 3)))
        FeatureStore(str(self.repo)).materialize(start, end)
        self.team.run("rollback", "users", "--at", "2026-02-15T00:00:00+00:00")
        self.page = folder / "page.html"
        self.team.run("retire", "users", "1")
        written = self.team.run(
            "report", "users", "--repo", str(self.repo), "--out", str(self.page)
        )
        assert written.exit_code == 0, written.output
        self.written = written.stdout


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return Observed(tmp_path_factory.mktemp("observed"))
