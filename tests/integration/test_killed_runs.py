"""Materializations that are killed; `python -m tests.kills` kills them at every point."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killed_runs import SCENARIOS, KilledRuns, numbers

POINTS = 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [("cut-over", "sqlite"), ("first", "redis"), ("cut-over, on_read", "redis")],
)
def test_a_killed_run(name: str, kind: str, redis_store: dict[str, object], tmp_path: Path) -> None:
    address = str(redis_store["connection_string"]) if kind == "redis" else None
    runs = KilledRuns(tmp_path / "runs", SCENARIOS[name], address)
    points = runs.points()
    assert points > 100
    for number in numbers(points * 9 // 10, POINTS):
        assert runs.kill(number)
