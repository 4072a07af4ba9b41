from __future__ import annotations

from itertools import pairwise

from feast_bc.observed.timeline import LABELS, WIDTH, timeline

NOW = "2026-06-01T00:00:00+00:00"


def period(version: int, since: str | None, until: str | None) -> dict[str, object]:
    return {"from_version": version, "since": since, "until": until}


def test_bars_cover_the_axis_without_gaps() -> None:
    first, second = "2026-02-01T00:00:00+00:00", "2026-09-01T00:00:00+00:00"
    periods = [period(0, None, first), period(2, first, second), period(1, second, None)]
    picture = timeline([{"view": "users_v0", "periods": periods}], NOW)
    left, middle, right = picture.bars
    assert (left.x, round(right.x + right.width)) == (LABELS, WIDTH)
    assert abs(left.x + left.width - middle.x) < 0.2
    assert abs(middle.x + middle.width - right.x) < 0.2
    assert middle.x < picture.now < right.x  # an activation may lie ahead
    assert [bar.told for bar in picture.bars] == [
        f"v0 from the beginning until {first}",
        f"v2 since {first} until {second}",
        f"v1 since {second}",
    ]
    assert [tick.label for tick in picture.ticks] == ["2026-02-01", "2026-06-01", "2026-09-01"]


def test_labels_of_near_instants_stand_on_lines_of_their_own() -> None:
    days = [f"2026-02-0{day}T00:00:00+00:00" for day in (1, 2, 3)]
    cuts = [None, *days, None]
    periods = [period(k % 2, a, b) for k, (a, b) in enumerate(pairwise(cuts))]
    picture = timeline([{"view": "users_v0", "periods": periods}], NOW)
    assert [tick.line for tick in picture.ticks] == [0, 1, 2, 0]


def test_a_view_that_nothing_ever_served() -> None:
    picture = timeline([{"view": "users_v0", "periods": [period(0, None, None)]}], NOW)
    assert [(bar.x, bar.width) for bar in picture.bars] == [(LABELS, WIDTH - LABELS)]
